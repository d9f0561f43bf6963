//! UpdateAccountSettings.

use thalweg_model::kinesis::{UpdateAccountSettingsInput, UpdateAccountSettingsOutput};
use thalweg_shape::Failure;

use crate::commitment;
use crate::errors;
use crate::rows::AccountRow;
use crate::service::Streams;

pub(crate) async fn run(
    streams: &Streams,
    input: UpdateAccountSettingsInput,
) -> Result<UpdateAccountSettingsOutput, Failure> {
    streams.admit("UpdateAccountSettings", None)?;
    let wanted = input.minimum_throughput_billing_commitment.status;
    let now = streams.now();
    let mut account = streams.account.lock().await;
    let next = commitment::update(account.row.commitment.as_ref(), wanted, now);
    if next != account.row.commitment {
        let row = AccountRow { commitment: next, ..account.row.clone() };
        account.replace(&streams.catalog, row, Vec::new()).await.map_err(|error| {
            tracing::error!(%error, "account settings were not changed");
            errors::internal_failure()
        })?;
    }
    let commitment = commitment::view(account.row.commitment.as_ref(), now);
    Ok(UpdateAccountSettingsOutput { minimum_throughput_billing_commitment: Some(commitment) })
}
