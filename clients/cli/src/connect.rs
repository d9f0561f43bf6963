//! Where the server is, and with which region and credentials it is spoken to.
//!
//! AWS itself is reached by `--endpoint aws` and by nothing else: every other way, the endpoint is set explicitly, so
//! that no environment variable or profile, present or missing, sends a developer's records to the cloud.

use std::fmt;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::default_provider::credentials::DefaultCredentialsChain;
use aws_config::ecs::EcsCredentialsProvider;
use aws_config::environment::credentials::EnvironmentVariableCredentialsProvider;
use aws_config::environment::region::EnvironmentVariableRegionProvider;
use aws_config::meta::credentials::CredentialsProviderChain;
use aws_config::meta::region::RegionProviderChain;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::web_identity_token::WebIdentityTokenCredentialsProvider;
use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::config::http::HttpResponse;
use aws_sdk_kinesis::config::{Credentials, Region, SharedCredentialsProvider};
use aws_sdk_kinesis::error::{ProvideErrorMetadata, SdkError};

use crate::CliError;

/// Where `thalweg serve` listens unless told otherwise.
const ENDPOINT_DEFAULT: &str = "http://127.0.0.1:4567";
/// The region when nobody names one: the server's own default.
const REGION_DEFAULT: &str = "us-east-1";
/// Longest wait for one answer: a request of 10 MiB over a slow line.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(60);

/// The options that say which server.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectArgs {
    /// The server's URL, or `aws` for AWS itself [env: AWS_ENDPOINT_URL_KINESIS, then AWS_ENDPOINT_URL] [default: http://127.0.0.1:4567]
    #[arg(long, global = true, value_name = "URL", value_parser = Endpoint::parse)]
    pub(crate) endpoint: Option<Endpoint>,
    /// The region [env: AWS_REGION, then AWS_DEFAULT_REGION; then the profile's] [default: us-east-1]
    #[arg(long, global = true, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// The profile of ~/.aws to take credentials and region from [env: AWS_PROFILE]
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) profile: Option<String>,
}

/// Who is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// A server, by URL.
    Url(String),
    /// AWS, as the SDK finds it by region.
    Aws,
}

impl Endpoint {
    fn parse(text: &str) -> Result<Self, String> {
        if text == "aws" {
            return Ok(Endpoint::Aws);
        }
        let authority = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
        match authority {
            Some(authority) if !authority.is_empty() && !authority.starts_with('/') => {
                Ok(Endpoint::Url(text.trim_end_matches('/').to_owned()))
            }
            _ => Err("an endpoint is a URL such as http://127.0.0.1:4567, or the word aws".to_owned()),
        }
    }

    /// The flag over the environment over the default. `variable` reads the environment; an empty variable counts
    /// as none.
    pub(crate) fn choose(
        flag: Option<Endpoint>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, CliError> {
        if let Some(endpoint) = flag {
            return Ok(endpoint);
        }
        for name in ["AWS_ENDPOINT_URL_KINESIS", "AWS_ENDPOINT_URL"] {
            let Some(text) = variable(name).filter(|text| !text.is_empty()) else { continue };
            return match Endpoint::parse(&text) {
                Ok(Endpoint::Url(url)) => Ok(Endpoint::Url(url)),
                Ok(Endpoint::Aws) => Err(CliError::Usage(format!(
                    "{name} is `aws`: AWS itself is only reached by --endpoint aws"
                ))),
                Err(reason) => Err(CliError::Usage(format!("{name} is `{text}`: {reason}"))),
            };
        }
        Ok(Endpoint::Url(ENDPOINT_DEFAULT.to_owned()))
    }

    /// As [`Endpoint::choose`], from the process's environment.
    pub(crate) fn from_environment(flag: Option<Endpoint>) -> Result<Self, CliError> {
        Endpoint::choose(flag, |name| std::env::var(name).ok())
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Url(url) => f.write_str(url),
            Endpoint::Aws => f.write_str("AWS"),
        }
    }
}

/// Who repeats a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Retries {
    /// The SDK, three attempts in all.
    Sdk,
    /// The command itself.
    Own,
}

/// A client and who it speaks to.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    /// The SDK's client.
    pub(crate) kinesis: Client,
    /// For messages.
    pub(crate) endpoint: Endpoint,
}

impl Connection {
    /// Chooses endpoint, region and credentials. Sends nothing yet.
    pub(crate) async fn open(args: &ConnectArgs, retries: Retries) -> Result<Self, CliError> {
        let endpoint = Endpoint::from_environment(args.endpoint.clone())?;
        let region = region(args).await;
        let credentials = match &endpoint {
            Endpoint::Aws => aws_credentials(args, &region).await,
            Endpoint::Url(_) => credentials(args),
        };
        let mut config = aws_sdk_kinesis::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(region)
            .credentials_provider(credentials)
            .timeout_config(TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).build())
            .retry_config(match retries {
                Retries::Sdk => RetryConfig::standard(),
                Retries::Own => RetryConfig::disabled(),
            });
        if let Endpoint::Url(url) = &endpoint {
            config = config.endpoint_url(url);
        }
        Ok(Connection { kinesis: Client::from_conf(config.build()), endpoint })
    }

    /// An SDK error in our words.
    pub(crate) fn explain<E>(&self, operation: &'static str, error: SdkError<E, HttpResponse>) -> CliError
    where
        E: ProvideErrorMetadata + std::error::Error + 'static,
    {
        CliError::from_sdk(operation, &self.endpoint, error)
    }
}

/// The flag over the environment over the profile over the default; never a question to a metadata service.
async fn region(args: &ConnectArgs) -> Region {
    let mut profile = ProfileFileRegionProvider::builder();
    if let Some(name) = &args.profile {
        profile = profile.profile_name(name);
    }
    let chain = RegionProviderChain::first_try(args.region.clone().map(Region::new))
        .or_else(EnvironmentVariableRegionProvider::new())
        .or_else(profile.build())
        .or_else(Region::from_static(REGION_DEFAULT));
    chain.region().await.unwrap_or(Region::from_static(REGION_DEFAULT))
}

/// The SDK's own chain, metadata services included.
async fn aws_credentials(args: &ConnectArgs, region: &Region) -> SharedCredentialsProvider {
    let mut chain = DefaultCredentialsChain::builder().region(region.clone());
    if let Some(name) = &args.profile {
        chain = chain.profile_name(name);
    }
    SharedCredentialsProvider::new(chain.build().await)
}

/// The usual chain but for the instance metadata service, which nobody hosts beside a server of their own and which
/// would cost seconds of waiting; then fixed ones, which a server without access control does not look at.
fn credentials(args: &ConnectArgs) -> SharedCredentialsProvider {
    let mut profile = ProfileFileCredentialsProvider::builder();
    if let Some(name) = &args.profile {
        profile = profile.profile_name(name);
    }
    let chain =
        CredentialsProviderChain::first_try("Environment", EnvironmentVariableCredentialsProvider::new())
            .or_else("Profile", profile.build())
            .or_else("WebIdentityToken", WebIdentityTokenCredentialsProvider::builder().build())
            .or_else("Container", EcsCredentialsProvider::builder().build())
            .or_else("Placeholder", Credentials::new("thalweg", "thalweg", None, None, "placeholder"));
    SharedCredentialsProvider::new(chain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_endpoint(flag: Option<&str>, environment: &[(&str, &str)], expected: Result<&str, &str>) {
        let flag = flag.map(|text| Endpoint::parse(text).expect("the table's flags are well formed"));
        let variable = |name: &str| {
            environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        };
        let chosen = Endpoint::choose(flag, variable).map(|e| e.to_string()).map_err(|e| e.to_string());
        match (chosen, expected) {
            (Ok(chosen), Ok(expected)) => assert_eq!(chosen, expected),
            (Err(error), Err(expected)) => assert!(error.contains(expected), "{error}"),
            (chosen, expected) => panic!("{chosen:?} is not {expected:?}"),
        }
    }

    #[test]
    fn the_flag_is_over_the_kinesis_variable_over_the_general_one_over_the_default() {
        let both = [("AWS_ENDPOINT_URL_KINESIS", "http://k:1"), ("AWS_ENDPOINT_URL", "http://g:2")];
        check_endpoint(None, &[], Ok("http://127.0.0.1:4567"));
        check_endpoint(None, &both[1..], Ok("http://g:2"));
        check_endpoint(None, &both, Ok("http://k:1"));
        check_endpoint(Some("https://flag/"), &both, Ok("https://flag"));
        check_endpoint(None, &[("AWS_ENDPOINT_URL_KINESIS", ""), both[1]], Ok("http://g:2"));
    }

    #[test]
    fn aws_is_reached_by_the_flag_alone() {
        check_endpoint(Some("aws"), &[("AWS_ENDPOINT_URL", "http://g:2")], Ok("AWS"));
        check_endpoint(None, &[("AWS_ENDPOINT_URL", "aws")], Err("only reached by --endpoint aws"));
        check_endpoint(
            None,
            &[("AWS_ENDPOINT_URL", "localhost:4567")],
            Err("AWS_ENDPOINT_URL is `localhost:4567`"),
        );
    }

    #[test]
    fn an_endpoint_is_a_url() {
        for text in ["", "localhost:4567", "http://", "http:///x", "ftp://x"] {
            assert!(Endpoint::parse(text).is_err(), "{text}");
        }
    }
}
