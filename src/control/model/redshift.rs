//! RedshiftDestinationConfiguration.

use super::{LOGGING, PROCESSING, ROLE, S3, SECRETS_MANAGER, choice, integer, optional, required, text};
use crate::control::extensions::LOAD_METHODS;
use crate::wire::{Member, Pattern, Shape};

/// Members of the destination.
pub const REDSHIFT: [Member; 14] = [
    ROLE,
    required("ClusterJDBCURL", &text(1, 512, Pattern::ONE_LINE)),
    required("CopyCommand", &COPY_COMMAND),
    optional("Username", &text(1, 512, Pattern::ONE_LINE)),
    optional("Password", &text(6, 512, Pattern::ONE_LINE)),
    optional("RetryOptions", &Shape::Structure(&[optional("DurationInSeconds", &integer(0, 7200))])),
    required("S3Configuration", &Shape::Structure(&S3)),
    optional("ProcessingConfiguration", &PROCESSING),
    optional("S3BackupMode", &choice(&["Disabled", "Enabled"])),
    optional("S3BackupConfiguration", &Shape::Structure(&S3)),
    LOGGING,
    optional("SecretsManagerConfiguration", &SECRETS_MANAGER),
    // Extensions (`control::extensions`).
    optional("LoadMethod", &Shape::Choice { values: &[], extensions: LOAD_METHODS }),
    optional("LedgerTable", &text(1, 127, Pattern::TABLE_NAME)),
];

static COPY_COMMAND: Shape = Shape::Structure(&[
    required("DataTableName", &text(1, 512, Pattern::ONE_LINE)),
    optional("DataTableColumns", &text(0, 10_240, Pattern::ONE_LINE)),
    optional("CopyOptions", &text(0, 10_240, Pattern::ONE_LINE)),
]);
