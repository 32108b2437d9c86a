//! HttpEndpointDestinationConfiguration.

use super::{LOGGING, PROCESSING, ROLE_ARN, S3, SECRETS_MANAGER, choice, integer, optional, required, text};
use crate::control::extensions::REQUEST_FORMATS;
use crate::wire::{Member, Pattern, Shape};

/// Members of the destination.
pub const HTTP: [Member; 11] = [
    required("EndpointConfiguration", &ENDPOINT),
    optional(
        "BufferingHints",
        &Shape::Structure(&[optional("SizeInMBs", &integer(1, 64)), optional("IntervalInSeconds", &integer(0, 900))]),
    ),
    LOGGING,
    optional("RequestConfiguration", &REQUEST),
    optional("ProcessingConfiguration", &PROCESSING),
    optional("RoleARN", &ROLE_ARN),
    optional("RetryOptions", &Shape::Structure(&[optional("DurationInSeconds", &integer(0, 7200))])),
    optional("S3BackupMode", &choice(&["FailedDataOnly", "AllData"])),
    required("S3Configuration", &Shape::Structure(&S3)),
    optional("SecretsManagerConfiguration", &SECRETS_MANAGER),
    // An extension (`control::extensions`).
    optional("RequestFormat", &Shape::Choice { values: &[], extensions: REQUEST_FORMATS }),
];

static ENDPOINT: Shape = Shape::Structure(&[
    required("Url", &text(1, 1000, Pattern::ENDPOINT_URL)),
    optional("Name", &text(1, 256, Pattern::SOME_TEXT)),
    optional("AccessKey", &text(0, 4096, Pattern::ONE_LINE)),
]);

static REQUEST: Shape = Shape::Structure(&[
    optional("ContentEncoding", &choice(&["NONE", "GZIP"])),
    optional("CommonAttributes", &Shape::List { of: &ATTRIBUTE, min: 0, max: 50 }),
]);

static ATTRIBUTE: Shape = Shape::Structure(&[
    required("AttributeName", &text(1, 256, Pattern::SOME_TEXT)),
    required("AttributeValue", &text(0, 1024, Pattern::ONE_LINE)),
]);
