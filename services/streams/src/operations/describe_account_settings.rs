//! DescribeAccountSettings.

use thalweg_model::kinesis::DescribeAccountSettingsOutput;
use thalweg_shape::Failure;

use crate::commitment;
use crate::service::Streams;

pub(crate) async fn run(streams: &Streams) -> Result<DescribeAccountSettingsOutput, Failure> {
    streams.admit("DescribeAccountSettings", None)?;
    let account = streams.account.lock().await;
    let commitment = commitment::view(account.row.commitment.as_ref(), streams.now());
    Ok(DescribeAccountSettingsOutput { minimum_throughput_billing_commitment: Some(commitment) })
}
