//! DeleteResourcePolicy.

use thalweg_catalog::Write;
use thalweg_model::kinesis::DeleteResourcePolicyInput;
use thalweg_shape::Failure;

use super::put_resource_policy::change;
use crate::errors;
use crate::service::Streams;

pub(crate) async fn run(streams: &Streams, input: DeleteResourcePolicyInput) -> Result<(), Failure> {
    streams.admit("DeleteResourcePolicy", None)?;
    let resource = streams.resolve_resource(&input.resource_arn, input.stream_id.as_deref())?;
    streams.check_active(resource.stream())?;
    match streams.catalog.get(&resource.policy_key()).await {
        Ok(Some(_)) => change(streams, &resource, Write::Delete(resource.policy_key())).await,
        Ok(None) => Err(errors::no_policy(&input.resource_arn)),
        Err(error) => {
            tracing::error!(resource = input.resource_arn, %error, "a resource policy was not deleted");
            Err(errors::internal_failure())
        }
    }
}
