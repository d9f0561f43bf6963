/* Preloaded into peers and log engines, some of which listen on every interface and cannot be told otherwise: what they bind to "any
   address" is bound to the loopback address instead. Nothing else of them is touched. */
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int bind(int descriptor, const struct sockaddr *address, socklen_t length) {
    struct sockaddr_in four;
    struct sockaddr_in6 six;
    if (address && address->sa_family == AF_INET && length >= sizeof four) {
        memcpy(&four, address, sizeof four);
        if (four.sin_addr.s_addr == htonl(INADDR_ANY)) {
            four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            return syscall(SYS_bind, descriptor, &four, sizeof four);
        }
    }
    if (address && address->sa_family == AF_INET6 && length >= sizeof six) {
        static const unsigned char mapped[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};
        memcpy(&six, address, sizeof six);
        if (IN6_IS_ADDR_UNSPECIFIED(&six.sin6_addr)) {
            memcpy(&six.sin6_addr, mapped, sizeof mapped);
            return syscall(SYS_bind, descriptor, &six, sizeof six);
        }
    }
    return syscall(SYS_bind, descriptor, address, length);
}
