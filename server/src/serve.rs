//! `thalweg serve`: a server's life, from its configuration to its end.

use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use thalweg_api::Call;
use thalweg_api::kinesis::Kinesis;
use thalweg_model::kinesis::CreateStreamInput;
use thalweg_streams::Streams;
use thalweg_system::os::{OsNetworkSpawn, look_after_memory};
use thalweg_wire::Protocol;

use crate::compose::{Parts, compose, descriptors};
use crate::config::{Config, LimitsChoice, NewStream};
use crate::shutdown::Signals;
use crate::start_error::StartError;
use crate::{logs, panics, socket};

/// How long requests in flight may take once an end is asked for. Shorter than the ten seconds after which container
/// runtimes kill.
const GRACE: Duration = Duration::from_secs(8);

/// How long changes of streams that have begun may take then. What is not done is finished by the next start.
const GRACE_CHANGES: Duration = Duration::from_secs(1);

/// Serves until a signal asks for an end.
///
/// # Errors
/// Why it did not start. Once it serves there are none.
///
/// # Panics
/// When the operating system gives no event queue.
#[allow(clippy::disallowed_methods)] // "ready in N ms" counts from here, before there is a clock
pub(crate) fn run(config: Config) -> Result<(), StartError> {
    let began = Instant::now();
    logs::start(&config);
    panics::end_the_process();
    look_after_memory();
    let descriptors = descriptors(&config)?;
    let signals = Signals::listen();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the operating system gives an event queue");
    runtime.block_on(async {
        let socket = socket::reserve(config.listen)?;
        let parts = compose(&config, descriptors).await?;
        for stream in &config.create_streams {
            create_stream(&parts.streams, stream).await?;
        }
        let serving = parts.gateway.serve(vec![socket.listen()?], &OsNetworkSpawn)?;
        let address = *serving.addresses().first().expect("there is a listener");
        signals.serving();
        greet(&config, address, &parts, began.elapsed());

        signals.end_requested().await;
        // In this order: no new requests; those in flight are answered; no changes of streams are under way; nothing
        // writes any more.
        parts.gateway.start_draining();
        if tokio::time::timeout(GRACE, parts.gateway.drained()).await.is_err() {
            tracing::warn!("some requests were not done within {GRACE:?}");
        }
        if tokio::time::timeout(GRACE_CHANGES, parts.streams.shutdown()).await.is_err() {
            tracing::warn!("a change of a stream is not done; the next start finishes it");
        }
        serving.shutdown(Duration::ZERO).await;
        parts.storage.shutdown().await;
        tracing::info!("ended cleanly");
        Ok(())
    })
}

/// Makes a stream unless there is one of that name.
async fn create_stream(streams: &Streams, new: &NewStream) -> Result<(), StartError> {
    let input = CreateStreamInput {
        stream_name: new.name.as_str().to_owned(),
        shard_count: Some(new.shards),
        ..CreateStreamInput::default()
    };
    let call = Call::unlimited("--create-stream", Protocol::AwsJson11);
    match streams.create_stream(&call, input).await {
        Ok(_) => Ok(()),
        Err(failure) if failure.code == "ResourceInUseException" => Ok(()),
        Err(failure) => Err(StartError::CreateStream {
            stream: new.name.to_string(),
            reason: format!("{}: {}", failure.code, failure.message),
        }),
    }
}

/// Tells people, and programs that wait for it, that the server is ready. The lines that begin with `listening on` and
/// `ready in` are an interface: scripts read them.
fn greet(config: &Config, address: SocketAddr, parts: &Parts, took: Duration) {
    if config.is_exposed {
        tracing::warn!(
            "{address} can be reached from other machines, and there is no access control: anyone who reaches it can \
             read and delete everything"
        );
    }
    let endpoint = format!("http://{}", reachable(address));
    let limits = match config.limits {
        LimitsChoice::None => "none",
        LimitsChoice::Aws => "AWS's",
    };
    let text = format!(
        "thalweg {version}\n\
         listening on {endpoint}\n\
         data: {data}\n\
         region {region}, account {account}, limits: {limits}\n\
         to point clients here (any credentials will do):\n  \
           export AWS_ENDPOINT_URL_KINESIS={endpoint} AWS_REGION={region} AWS_DEFAULT_REGION={region}\n  \
           export AWS_ACCESS_KEY_ID=any AWS_SECRET_ACCESS_KEY=any\n\
         ready in {millis} ms\n",
        version = env!("CARGO_PKG_VERSION"),
        data = parts.data,
        region = config.region,
        account = config.account,
        millis = took.as_millis(),
    );
    // Nobody may be listening to standard output; the server serves all the same.
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// An address to connect to: for one that stands for all of a machine's, this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => SocketAddr::from(([127, 0, 0, 1], v4.port())),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], v6.port()))
        }
        address => address,
    }
}
