//! What belongs to the account: stream ids, the installation's secret, limits over all streams, the commitment to
//! on-demand advantage. Whoever counts over all streams or gives an id holds the account's lock.

use std::sync::Arc;

use thalweg_catalog::{Catalog, CommitError, Condition, Version, Write};
use thalweg_shape::Failure;
use thalweg_system::Random;
use thalweg_types::StreamId;

use crate::errors;
use crate::rows::{self, AccountRow, V1};
use crate::service::{OpenError, Streams};

/// The account's row and the commit that wrote it.
pub(crate) struct Account {
    pub(crate) row: AccountRow,
    pub(crate) version: Version,
}

impl Account {
    /// What the catalog has ([`crate::load::Loaded::account`]), bound to this journal from now on; made if this is the first
    /// start. Where there is no room to bind it, the next [`Account::replace`] does.
    ///
    /// # Errors
    /// When the catalog takes no commit, but for want of room to bind a row that is there.
    pub(crate) async fn of_start(
        known: Option<(AccountRow, Version)>,
        journal: u64,
        catalog: &dyn Catalog,
        random: &dyn Random,
    ) -> Result<Account, OpenError> {
        let journal = Some(format!("{journal:016x}"));
        match known {
            Some((row, version)) if row.journal.is_some() => Ok(Account { row, version }),
            // An earlier build's.
            Some((row, version)) => {
                let mut account = Account { row: AccountRow { journal, ..row }, version };
                match catalog.commit(vec![account.condition()], vec![write(&account.row)]).await {
                    Ok(version) => account.version = version,
                    Err(error @ CommitError::NotApplied(_)) => {
                        tracing::warn!(%error, "the catalog does not name its journal yet");
                    }
                    Err(error) => return Err(error.into()),
                }
                Ok(account)
            }
            None => {
                let mut secret = [0; 32];
                random.fill(&mut secret);
                let secret = secret.iter().map(|byte| format!("{byte:02x}")).collect();
                let row =
                    AccountRow { v: V1, next_stream: 1, secret, names_before: 0, commitment: None, journal };
                let condition = Condition::Absent(rows::ACCOUNT.into());
                let version = catalog.commit(vec![condition], vec![write(&row)]).await?;
                Ok(Account { row, version })
            }
        }
    }

    /// The installation's secret, as bytes.
    ///
    /// # Errors
    /// When the row holds something else.
    pub(crate) fn secret(&self) -> Result<[u8; 32], OpenError> {
        let text = self.row.secret.as_bytes();
        let mut secret = [0; 32];
        let mut well_formed = text.len() == 64 && text.is_ascii();
        for (byte, digits) in secret.iter_mut().zip(self.row.secret.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).ok();
            match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
                Some(value) => *byte = value,
                None => well_formed = false,
            }
        }
        well_formed.then_some(secret).ok_or_else(|| rows::bad_row(rows::ACCOUNT, "the secret is malformed"))
    }

    /// The id that the next stream gets. Given for good once the account's row with [`AccountRow::next_stream`]
    /// above it is committed.
    pub(crate) fn next_stream(&self) -> StreamId {
        StreamId(self.row.next_stream)
    }

    /// What must hold when the row is written: nobody else wrote it since.
    pub(crate) fn condition(&self) -> Condition {
        Condition::AtVersion(rows::ACCOUNT.into(), self.version)
    }

    /// Writes another row in place of this one.
    ///
    /// # Errors
    /// As the catalog's commit; then nothing is changed here.
    pub(crate) async fn replace(
        &mut self,
        catalog: &Arc<dyn Catalog>,
        row: AccountRow,
        mut writes: Vec<Write>,
    ) -> Result<Version, CommitError> {
        writes.push(write(&row));
        let version = catalog.commit(vec![self.condition()], writes).await?;
        self.row = row;
        self.version = version;
        Ok(version)
    }
}

/// The write of an account's row.
fn write(row: &AccountRow) -> Write {
    Write::Put(rows::ACCOUNT.into(), rows::encode(row))
}

impl Streams {
    /// Shards that are open, or will be when what is under way is finished. The caller holds the account's lock,
    /// or only wants to tell someone.
    pub(crate) fn shards_claimed(&self) -> u64 {
        self.registry.all().iter().map(|stream| u64::from(stream.shards_claimed())).sum()
    }

    /// Whether `additional` more shards are within the account's limit. The caller holds the account's lock until
    /// its claim is published.
    ///
    /// # Errors
    /// LimitExceeded.
    pub(crate) fn check_shard_limit(&self, additional: u32) -> Result<(), Failure> {
        let current = self.shards_claimed();
        let limit = self.settings.shard_limit;
        if current + u64::from(additional) > u64::from(limit) {
            return Err(errors::shard_limit(
                &self.settings.account,
                &self.settings.region,
                current,
                limit,
                additional,
            ));
        }
        Ok(())
    }
}
