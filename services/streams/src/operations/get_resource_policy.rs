//! GetResourcePolicy. Without a policy it answers an empty object, as recorded from AWS.

use thalweg_model::kinesis::{GetResourcePolicyInput, GetResourcePolicyOutput};
use thalweg_shape::Failure;

use crate::errors;
use crate::rows::{self, PolicyRow};
use crate::service::Streams;

pub(crate) async fn run(
    streams: &Streams,
    input: GetResourcePolicyInput,
) -> Result<GetResourcePolicyOutput, Failure> {
    streams.admit("GetResourcePolicy", None)?;
    let resource = streams.resolve_resource(&input.resource_arn, input.stream_id.as_deref())?;
    streams.check_active(resource.stream())?;
    let policy = match streams.catalog.get(&resource.policy_key()).await {
        Ok(None) => Ok("{}".to_owned()),
        Ok(Some(row)) => rows::decode(&row).map(|row: PolicyRow| row.policy).map_err(|e| e.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match policy {
        Ok(policy) => Ok(GetResourcePolicyOutput { policy }),
        Err(error) => {
            tracing::error!(resource = input.resource_arn, error, "a resource policy cannot be read");
            Err(errors::internal_failure())
        }
    }
}
