//! Options of a conversion on the command line: those of DataFormatConversionConfiguration, under names of their own.

use crate::stream::definition::{
    BLOOM_FILTER_FPP, ConvertSpec, DEFAULT_BLOOM_FILTER_FPP, Deserializer, ParquetCompression, ParquetOptions,
    SchemaRef,
};
use clap::ValueEnum;
use std::collections::BTreeMap;

/// How JSON is read and Parquet is written.
#[derive(Debug, Clone, clap::Args)]
pub struct ConversionOptions {
    /// How JSON is read, as the deserializer of that name does
    #[arg(long, value_enum, default_value_t = Reading::Openx)]
    pub deserializer: Reading,
    /// OpenX: keys are compared with their case
    #[arg(long)]
    pub case_sensitive: bool,
    /// OpenX: a dot in a key is an underscore in the column's name
    #[arg(long)]
    pub dots_to_underscores: bool,
    /// OpenX: the column COLUMN is read from the key KEY; may be given more than once
    #[arg(long, value_name = "COLUMN=KEY", value_parser = mapping)]
    pub map: Vec<(String, String)>,
    /// Hive: a timestamp is read by this Joda pattern, or 'millis'; may be given more than once
    #[arg(long, value_name = "PATTERN")]
    pub timestamp_format: Vec<String>,
    /// Collect what no column takes in the string column COLUMN, a JSON object a row; added when the table has none
    #[arg(long, value_name = "COLUMN", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub unknown_fields: Option<String>,
    /// Compression of pages
    #[arg(long, value_enum, default_value_t = Pages::Snappy)]
    pub compression: Pages,
    /// Most MiB of a row group, encoded
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=1024))]
    pub row_group_mib: u64,
    /// Size of a page in KiB
    #[arg(long, value_name = "KIB", default_value_t = 1024, value_parser = clap::value_parser!(u64).range(8..=65_536))]
    pub page_kib: u64,
    /// Write no dictionaries; without this a column has one where it pays
    #[arg(long)]
    pub no_dictionary: bool,
    /// Write data pages of version 2
    #[arg(long)]
    pub writer_v2: bool,
    /// Begin a row group at a multiple of --row-group-mib when it is no further away than so many KiB
    #[arg(long, value_name = "KIB", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=65_536))]
    pub max_padding_kib: u64,
    /// Write timestamps as INT96, for readers that understand nothing else
    #[arg(long)]
    pub int96: bool,
    /// Write a Bloom filter for this column of the table, or for a leaf in it by its dotted path; may be given more
    /// than once
    #[arg(long, value_name = "COLUMN")]
    pub bloom_filter: Vec<String>,
    /// Share of absent values that a Bloom filter may report as present
    #[arg(long, value_name = "SHARE", default_value_t = DEFAULT_BLOOM_FILTER_FPP, value_parser = share)]
    pub bloom_filter_fpp: f64,
}

/// A deserializer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Reading {
    /// OpenXJsonSerDe
    Openx,
    /// HiveJsonSerDe
    Hive,
}

/// Compression of pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Pages {
    /// Not compressed
    None,
    /// Snappy
    Snappy,
    /// Gzip
    Gzip,
    /// Zstandard
    Zstd,
    /// LZ4_RAW
    Lz4,
}

impl ConversionOptions {
    /// As a stream's definition has them. The place of the schema is not used.
    pub fn spec(&self) -> ConvertSpec {
        let deserializer = match self.deserializer {
            Reading::Openx => Deserializer::OpenX {
                case_insensitive: !self.case_sensitive,
                key_mappings: self.map.iter().cloned().collect::<BTreeMap<_, _>>(),
                dots_to_underscores: self.dots_to_underscores,
            },
            Reading::Hive => Deserializer::Hive { timestamp_formats: self.timestamp_format.clone() },
        };
        let compression = match self.compression {
            Pages::None => ParquetCompression::Uncompressed,
            Pages::Snappy => ParquetCompression::Snappy,
            Pages::Gzip => ParquetCompression::Gzip,
            Pages::Zstd => ParquetCompression::Zstd,
            Pages::Lz4 => ParquetCompression::Lz4Raw,
        };
        let nowhere = String::new;
        ConvertSpec {
            schema: SchemaRef {
                catalog_id: nowhere(),
                database: nowhere(),
                table: nowhere(),
                region: nowhere(),
                version_id: nowhere(),
                role_arn: nowhere(),
            },
            deserializer,
            unknown_fields_column: self.unknown_fields.clone(),
            parquet: ParquetOptions {
                block_size_bytes: self.row_group_mib << 20,
                page_size_bytes: self.page_kib << 10,
                compression,
                dictionary: !self.no_dictionary,
                writer_v2: self.writer_v2,
                max_padding_bytes: self.max_padding_kib << 10,
                int96_timestamps: self.int96,
                bloom_filter_columns: self.bloom_filter.clone(),
                bloom_filter_fpp: self.bloom_filter_fpp,
            },
        }
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if BLOOM_FILTER_FPP.contains(&share) => Ok(share),
        _ => Err("expected a number from 0.000001 to 0.5".to_owned()),
    }
}

/// `COLUMN=KEY`.
pub fn mapping(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((column, key)) if !column.is_empty() && !key.is_empty() => Ok((column.to_owned(), key.to_owned())),
        _ => Err("expected COLUMN=KEY".to_owned()),
    }
}
