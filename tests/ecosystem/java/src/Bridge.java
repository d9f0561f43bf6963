import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.io.FileOutputStream;
import java.io.FileDescriptor;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.charset.StandardCharsets;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionException;
import java.util.concurrent.ConcurrentHashMap;
import org.reactivestreams.Subscriber;
import org.reactivestreams.Subscription;
import software.amazon.awssdk.awscore.exception.AwsServiceException;
import software.amazon.awssdk.awscore.retry.AwsRetryStrategy;
import software.amazon.awssdk.core.SdkBytes;
import software.amazon.awssdk.core.SdkField;
import software.amazon.awssdk.core.SdkPojo;
import software.amazon.awssdk.core.client.config.ClientOverrideConfiguration;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.core.protocol.MarshallingType;
import software.amazon.awssdk.core.traits.ListTrait;
import software.amazon.awssdk.core.traits.MapTrait;
import software.amazon.awssdk.core.util.DefaultSdkAutoConstructList;
import software.amazon.awssdk.core.util.SdkAutoConstructMap;
import software.amazon.awssdk.core.util.VersionInfo;
import software.amazon.awssdk.http.Protocol;
import software.amazon.awssdk.http.SdkHttpResponse;
import software.amazon.awssdk.http.nio.netty.NettyNioAsyncHttpClient;
import software.amazon.awssdk.protocols.jsoncore.JsonNode;
import software.amazon.awssdk.protocols.jsoncore.JsonWriter;
import software.amazon.awssdk.services.kinesis.KinesisAsyncClient;
import software.amazon.awssdk.services.kinesis.KinesisClient;
import software.amazon.awssdk.services.kinesis.model.DescribeStreamRequest;
import software.amazon.awssdk.services.kinesis.model.ListStreamsRequest;
import software.amazon.awssdk.services.kinesis.model.ListStreamsResponse;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardEventStream;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardEvent;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardRequest;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardResponse;
import software.amazon.awssdk.services.kinesis.model.SubscribeToShardResponseHandler;
import software.amazon.awssdk.utils.builder.Buildable;

/**
 * The AWS SDK for Java v2 behind the pipe of bridges.py. SubscribeToShard goes through the asynchronous client over
 * HTTP/2 by prior knowledge; the other operations through the synchronous client, or, with the argument {@code async},
 * through the asynchronous one too (as the Kinesis Client Library does it). Both speak CBOR, the SDK's default.
 *
 * <p>Operations are found by name on the SDK's client; requests and answers are the SDK's own classes, read and
 * written through the field descriptions that its marshallers use.
 */
public final class Bridge {
    private static final PrintStream OUT =
            new PrintStream(new FileOutputStream(FileDescriptor.out), false, StandardCharsets.UTF_8);
    private static final String MODEL = "software.amazon.awssdk.services.kinesis.model.";

    /** What came over the wire, for the runner's report. */
    private final TreeSet<String> wire = new TreeSet<>();
    private final Map<String, Subscription> subscriptions = new ConcurrentHashMap<>();
    private final KinesisClient plain;
    private final KinesisAsyncClient async;
    private final boolean onlyAsync;

    private Bridge(boolean onlyAsync) {
        this.onlyAsync = onlyAsync;
        plain = KinesisClient.builder().overrideConfiguration(overrides("sync")).build();
        async = KinesisAsyncClient.builder()
                .overrideConfiguration(overrides("async, HTTP/2"))
                .httpClientBuilder(NettyNioAsyncHttpClient.builder().protocol(Protocol.HTTP2))
                .build();
    }

    private ClientOverrideConfiguration overrides(String client) {
        return ClientOverrideConfiguration.builder()
                .retryStrategy(AwsRetryStrategy.doNotRetry())
                .addExecutionInterceptor(new ExecutionInterceptor() {
                    @Override
                    public void beforeUnmarshalling(
                            Context.BeforeUnmarshalling context, ExecutionAttributes attributes) {
                        SdkHttpResponse answer = context.httpResponse();
                        synchronized (wire) {
                            wire.add(client + " " + answer.firstMatchingHeader("Content-Type").orElse("no content type"));
                        }
                    }
                })
                .build();
    }

    public static void main(String[] arguments) throws Exception {
        Bridge bridge = new Bridge(arguments.length > 0 && arguments[0].equals("async"));
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String text = in.readLine(); text != null; text = in.readLine()) {
            Map<String, Object> answer = new LinkedHashMap<>();
            try {
                answer.put("out", bridge.handle(JsonNode.parser().parse(text).asObject()));
            } catch (Throwable failure) {
                answer.putAll(describe(failure));
            }
            send(answer);
        }
        System.exit(0);
    }

    private Object handle(Map<String, JsonNode> request) throws Throwable {
        if (request.containsKey("about")) {
            synchronized (wire) {
                return Map.of("client", "AWS SDK for Java v2", "version", VersionInfo.SDK_VERSION,
                        "wire", List.copyOf(wire));
            }
        }
        if (request.containsKey("unsubscribe")) {
            subscriptions.remove(request.get("unsubscribe").asString()).cancel();
            return Map.of();
        }
        JsonNode in = request.get("in");
        if (request.containsKey("call")) {
            return call(request.get("call").asString(), in);
        }
        if (request.containsKey("pages")) {
            return pages(request.get("pages").asString(), in);
        }
        if (request.containsKey("wait")) {
            return await(request.get("wait").asString(), in);
        }
        subscribe(request.get("subscribe").asString(), (SubscribeToShardRequest) request("SubscribeToShard", in));
        return Map.of();
    }

    private Object call(String operation, JsonNode in) throws Throwable {
        SdkPojo request = request(operation, in);
        Object client = onlyAsync ? async : plain;
        Class<?> face = onlyAsync ? KinesisAsyncClient.class : KinesisClient.class;
        String name = Character.toLowerCase(operation.charAt(0)) + operation.substring(1);
        Method method = face.getMethod(name, Class.forName(MODEL + operation + "Request"));
        try {
            Object answer = method.invoke(client, request);
            return encode(onlyAsync ? ((CompletableFuture<?>) answer).join() : answer);
        } catch (InvocationTargetException failure) {
            throw failure.getCause();
        }
    }

    private Object pages(String operation, JsonNode in) throws Throwable {
        if (!operation.equals("ListStreams")) {
            throw new IllegalArgumentException("no paginator is wired up for " + operation);
        }
        List<Object> pages = new ArrayList<>();
        for (ListStreamsResponse page : plain.listStreamsPaginator((ListStreamsRequest) request(operation, in))) {
            pages.add(encode(page));
        }
        return pages;
    }

    private Object await(String waiter, JsonNode in) throws Throwable {
        DescribeStreamRequest request = (DescribeStreamRequest) request("DescribeStream", in);
        switch (waiter) {
            case "StreamExists":
                plain.waiter().waitUntilStreamExists(request);
                return Map.of();
            case "StreamNotExists":
                plain.waiter().waitUntilStreamNotExists(request);
                return Map.of();
            default:
                throw new IllegalArgumentException("no waiter is wired up for " + waiter);
        }
    }

    /** Returns once the service has accepted the subscription; its events follow from the SDK's threads. */
    private void subscribe(String name, SubscribeToShardRequest request) throws Throwable {
        CompletableFuture<Void> accepted = new CompletableFuture<>();
        SubscribeToShardResponseHandler handler = new SubscribeToShardResponseHandler() {
            @Override
            public void responseReceived(SubscribeToShardResponse response) {
                accepted.complete(null);
            }

            @Override
            public void onEventStream(
                    software.amazon.awssdk.core.async.SdkPublisher<SubscribeToShardEventStream> publisher) {
                publisher.subscribe(new Follower(name));
            }

            @Override
            public void exceptionOccurred(Throwable failure) {
                if (!accepted.completeExceptionally(failure)) {
                    ended(name, failure);
                }
            }

            @Override
            public void complete() {}
        };
        async.subscribeToShard(request, handler);
        accepted.join();
    }

    /** Sends a subscription's last message, once: the SDK reports a failure to the publisher and to the handler. */
    private void ended(String name, Throwable failure) {
        if (subscriptions.remove(name) == null) {
            return;
        }
        Map<String, Object> message = new LinkedHashMap<>();
        message.put("subscription", name);
        if (failure == null) {
            message.put("end", true);
        } else {
            message.putAll(describe(failure));
        }
        send(message);
    }

    private final class Follower implements Subscriber<SubscribeToShardEventStream> {
        private final String name;

        private Follower(String name) {
            this.name = name;
        }

        @Override
        public void onSubscribe(Subscription subscription) {
            subscriptions.put(name, subscription);
            subscription.request(Long.MAX_VALUE);
        }

        @Override
        public void onNext(SubscribeToShardEventStream event) {
            Map<String, Object> message = new LinkedHashMap<>();
            message.put("subscription", name);
            if (event instanceof SubscribeToShardEvent) {
                message.put("event", encode(event));
            } else {
                message.put("broken", "unknown event " + event.getClass());
            }
            send(message);
        }

        @Override
        public void onError(Throwable failure) {
            ended(name, failure);
        }

        @Override
        public void onComplete() {
            ended(name, null);
        }
    }

    private static Map<String, Object> describe(Throwable failure) {
        while (failure instanceof CompletionException && failure.getCause() != null) {
            failure = failure.getCause();
        }
        if (failure instanceof AwsServiceException && ((AwsServiceException) failure).awsErrorDetails() != null) {
            var details = ((AwsServiceException) failure).awsErrorDetails();
            return Map.of("error", String.valueOf(details.errorCode()),
                    "message", String.valueOf(details.errorMessage()));
        }
        StringBuilder text = new StringBuilder();
        for (Throwable cause = failure; cause != null; cause = cause.getCause()) {
            text.append(cause).append(" at ").append(cause.getStackTrace().length > 0 ? cause.getStackTrace()[0] : "?")
                    .append("; ");
        }
        return Map.of("broken", text.toString());
    }

    // The driver's JSON to and from the SDK's classes.

    private static SdkPojo request(String operation, JsonNode in) throws ReflectiveOperationException {
        Object builder = Class.forName(MODEL + operation + "Request").getMethod("builder").invoke(null);
        return fill((SdkPojo) builder, in);
    }

    private static SdkPojo fill(SdkPojo builder, JsonNode in) {
        Map<String, JsonNode> members = new LinkedHashMap<>(in.asObject());
        for (SdkField<?> field : builder.sdkFields()) {
            JsonNode value = members.remove(field.memberName());
            if (value != null) {
                field.set(builder, decode(field, value));
            }
        }
        if (!members.isEmpty()) {
            throw new IllegalArgumentException("this SDK does not know " + members.keySet());
        }
        return (SdkPojo) ((Buildable) builder).build();
    }

    private static Object decode(SdkField<?> field, JsonNode value) {
        MarshallingType<?> type = field.marshallingType();
        if (type == MarshallingType.SDK_POJO) {
            return fill(field.constructor().get(), value);
        } else if (type == MarshallingType.LIST) {
            SdkField<?> item = field.getTrait(ListTrait.class).memberFieldInfo();
            List<Object> list = new ArrayList<>();
            value.asArray().forEach(element -> list.add(decode(item, element)));
            return list;
        } else if (type == MarshallingType.MAP) {
            SdkField<?> item = field.getTrait(MapTrait.class).valueFieldInfo();
            Map<String, Object> map = new LinkedHashMap<>();
            value.asObject().forEach((key, element) -> map.put(key, decode(item, element)));
            return map;
        } else if (type == MarshallingType.SDK_BYTES) {
            return SdkBytes.fromByteArray(Base64.getDecoder().decode(value.field("$blob").get().asString()));
        } else if (type == MarshallingType.INSTANT) {
            return Instant.ofEpochMilli(Long.parseLong(value.field("$time").get().asNumber()));
        } else if (type == MarshallingType.STRING) {
            return value.asString();
        } else if (type == MarshallingType.BOOLEAN) {
            return value.asBoolean();
        } else if (type == MarshallingType.INTEGER) {
            return Integer.valueOf(value.asNumber());
        } else if (type == MarshallingType.LONG) {
            return Long.valueOf(value.asNumber());
        }
        throw new IllegalArgumentException("no conversion to " + type);
    }

    private static Object encode(Object value) {
        if (value instanceof SdkPojo) {
            Map<String, Object> out = new LinkedHashMap<>();
            for (SdkField<?> field : ((SdkPojo) value).sdkFields()) {
                Object member = field.getValueOrDefault(value);
                // What the SDK makes up for an absent list or map is absent.
                if (member != null && !(member instanceof DefaultSdkAutoConstructList)
                        && !(member instanceof SdkAutoConstructMap)) {
                    out.put(field.memberName(), encode(member));
                }
            }
            return out;
        } else if (value instanceof List) {
            List<Object> out = new ArrayList<>();
            ((List<?>) value).forEach(item -> out.add(encode(item)));
            return out;
        } else if (value instanceof Map) {
            Map<String, Object> out = new LinkedHashMap<>();
            ((Map<?, ?>) value).forEach((key, item) -> out.put(key.toString(), encode(item)));
            return out;
        } else if (value instanceof SdkBytes) {
            return Map.of("$blob", Base64.getEncoder().encodeToString(((SdkBytes) value).asByteArray()));
        } else if (value instanceof Instant) {
            return Map.of("$time", ((Instant) value).toEpochMilli());
        }
        return value;
    }

    private static void send(Map<String, Object> message) {
        JsonWriter writer = JsonWriter.create();
        write(writer, message);
        String text = new String(writer.getBytes(), StandardCharsets.UTF_8);
        synchronized (OUT) {
            OUT.print(text + "\n");
            OUT.flush();
        }
    }

    private static void write(JsonWriter writer, Object value) {
        if (value instanceof Map) {
            writer.writeStartObject();
            ((Map<?, ?>) value).forEach((key, item) -> {
                writer.writeFieldName((String) key);
                write(writer, item);
            });
            writer.writeEndObject();
        } else if (value instanceof List) {
            writer.writeStartArray();
            ((List<?>) value).forEach(item -> write(writer, item));
            writer.writeEndArray();
        } else if (value instanceof Boolean) {
            writer.writeValue((boolean) (Boolean) value);
        } else if (value instanceof Integer || value instanceof Long) {
            writer.writeValue(((Number) value).longValue());
        } else {
            writer.writeValue(String.valueOf(value));
        }
    }
}
