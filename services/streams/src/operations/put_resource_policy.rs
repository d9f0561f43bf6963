//! PutResourcePolicy. The policy is stored and given back; nothing asks it yet whether a call is allowed.

use thalweg_catalog::{Condition, Write};
use thalweg_model::kinesis::PutResourcePolicyInput;
use thalweg_shape::Failure;

use crate::errors;
use crate::resolve::Resource;
use crate::rows::{self, PolicyRow, V1};
use crate::service::Streams;

/// Longest policy, in bytes: what AWS allows for most resource policies. Ours; the model has no bound.
const POLICY_BYTES_MAX: usize = 20 * 1024;

pub(crate) async fn run(streams: &Streams, input: PutResourcePolicyInput) -> Result<(), Failure> {
    streams.admit("PutResourcePolicy", None)?;
    let resource = streams.resolve_resource(&input.resource_arn, input.stream_id.as_deref())?;
    check(&input.policy)?;
    let row = PolicyRow { v: V1, policy: input.policy };
    let write = Write::Put(resource.policy_key(), rows::encode(&row));
    change(streams, &resource, write).await
}

/// A JSON object of bearable length.
fn check(policy: &str) -> Result<(), Failure> {
    if policy.len() > POLICY_BYTES_MAX {
        return Err(errors::policy_too_long(POLICY_BYTES_MAX));
    }
    match serde_json::from_str(policy) {
        Ok(serde_json::Value::Object(_)) => Ok(()),
        Ok(_) => Err(errors::policy_malformed("it is another JSON value")),
        Err(error) => Err(errors::policy_malformed(&error.to_string())),
    }
}

/// Writes or removes the policy of an ACTIVE resource.
pub(super) async fn change(streams: &Streams, resource: &Resource, write: Write) -> Result<(), Failure> {
    // Its stream is not deleted meanwhile.
    let changing = streams.lock_active(resource.stream()).await?;
    let stream = &changing.stream;
    if let Resource::Consumer(_, consumer) = resource {
        let (name, account) = (stream.name.as_str(), streams.settings.account.as_str());
        let found = stream.consumers.get(&consumer.name).filter(|found| found.created == consumer.created);
        let found = found.ok_or_else(|| errors::consumer_not_found(consumer.name.as_str(), name, account))?;
        if found.change.is_some() {
            return Err(errors::consumer_not_active(consumer.name.as_str(), consumer.created, name, account));
        }
    }
    let condition = Condition::Present(rows::stream_key(stream.id));
    match streams.catalog.commit(vec![condition], vec![write]).await {
        Ok(_) => Ok(()),
        Err(error) => {
            tracing::error!(stream = %stream.name, %error, "a resource policy was not changed");
            Err(errors::internal_failure())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_json_objects() {
        assert_eq!(check("{}"), Ok(()));
        assert_eq!(check(" {\"Version\": \"2012-10-17\", \"Statement\": []}\n"), Ok(()));
        for malformed in ["", "[]", "\"{}\"", "{", "{} {}"] {
            let code = check(malformed).map_err(|failure| failure.code);
            assert_eq!(code, Err("InvalidArgumentException"), "{malformed}");
        }
        let long = format!("{{\"a\":\"{}\"}}", "x".repeat(POLICY_BYTES_MAX));
        assert_eq!(check(&long), Err(errors::policy_too_long(POLICY_BYTES_MAX)));
    }
}
