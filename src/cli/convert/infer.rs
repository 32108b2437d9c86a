//! Converting without a schema: it is learnt from a sample of the input, and, where another record does not fit, from
//! all of it; then the input is read a second time.

use super::{ConvertArgs, Failure, Rejects, Summary};
use crate::cli::input::{Input, Samples, TwiceReadable, records};
use crate::cli::schema::{LOCATION, table_name};
use crate::disk::{RealDisk, replace_file};
use crate::record::Chunk;
use crate::stage::convert::declare::declaration;
use crate::stage::convert::infer::{Learner, LearntTable};
use crate::stage::convert::{self, ConvertError, TableSchema};
use crate::stream::definition::ConvertSpec;
use bytes::Bytes;
use rayon::prelude::*;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

/// Parts of a plain file that are looked at.
const SAMPLES: u64 = 64;
/// Size of one.
const SAMPLE_BYTES: u64 = 384 << 10;
/// Most times that an input is learnt from before what still does not fit is left out.
const MAX_LESSONS: u32 = 8;
/// Bytes of chunks that are learnt from at once.
const LEARNT_AT_ONCE_BYTES: usize = 16 << 20;
/// What is looked at of an input that is read from its start on.
const HEAD_BYTES: u64 = 16 << 20;

impl ConvertArgs {
    /// Converts the file by the table that it teaches.
    pub(super) fn convert_inferred(&self, spec: &ConvertSpec) -> Result<(Summary, Arc<TableSchema>), Failure> {
        let mut learner = Learner::new(spec)?;
        let mut source = TwiceReadable::new(&self.input, &self.output);
        let input = match Samples::open(&self.input, SAMPLES, SAMPLE_BYTES)? {
            Some(samples) => {
                sample(&mut learner, &|| Learner::new(spec), &samples)?;
                source.open()?
            }
            None => sample_head(&mut learner, source.open()?, HEAD_BYTES)?,
        };
        let mut rejects = Rejects::create(self.rejects.as_deref(), self.quiet)?;
        let converted = self.convert_learning(spec, &mut learner, input, &mut source, &mut rejects);
        rejects.finish()?;
        let (summary, schema) = converted?;
        if let Some(file) = &self.write_schema {
            write_declaration(&schema, &self.output, file)?;
        }
        Ok((summary, schema))
    }

    fn convert_learning(
        &self,
        spec: &ConvertSpec,
        learner: &mut Learner,
        input: Input,
        source: &mut TwiceReadable,
        rejects: &mut Rejects,
    ) -> Result<(Summary, Arc<TableSchema>), Failure> {
        let mut input = Some(input);
        // A table only widens, so this comes to an end; the bound is for a file that grows meanwhile.
        for lesson in 0..=MAX_LESSONS {
            let input = match input.take() {
                Some(first) => first,
                None => {
                    rejects.begin_anew()?;
                    source.open()?
                }
            };
            let table = learner.shapes().table();
            let encoder = match &table {
                Some(table) => Some(convert::learnt_encoder(spec, table, 0, lesson == MAX_LESSONS)?),
                None if lesson == 0 => None,
                // Says of each record why it teaches nothing.
                None => Some(convert::unlearnt_encoder(spec)?),
            };
            let has_encoder = encoder.is_some();
            let written = self.write(input, encoder, Some(learner), rejects);
            match (table, written) {
                (None, _) if has_encoder => {
                    let input = self.input.display();
                    return Err(format!("{input}: no record has a value, so no column can be learnt").into());
                }
                (Some(table), Ok(Some(summary))) => {
                    self.tell_what_is_missing(&table, spec);
                    return Ok((summary, table.schema));
                }
                (_, written) => drop(written?),
            }
        }
        Err("the conversion was given up".into())
    }

    fn tell_what_is_missing(&self, table: &LearntTable, spec: &ConvertSpec) {
        if self.quiet {
            return;
        }
        if table.closed {
            eprintln!(
                "the table has as many columns as can be learnt; what came beyond them is left out (or kept by \
                 --unknown-fields)"
            );
        }
        for name in &spec.parquet.bloom_filter_columns {
            if !convert::can_have_bloom_filter(&table.schema, name) {
                eprintln!("no Bloom filter for '{name}': no column, or leaf in one, has that name and is not boolean");
            }
        }
    }
}

/// Chunks that wait to be learnt from, since learning begins anew on each processor.
#[derive(Default)]
pub(crate) struct ToLearn {
    chunks: Vec<Chunk>,
    held_bytes: usize,
}

impl ToLearn {
    /// Adds a chunk; shows them all to the learner when there are enough.
    pub fn push(&mut self, chunk: Chunk, learner: &mut Learner) {
        self.held_bytes += chunk.buffer.len();
        self.chunks.push(chunk);
        if self.held_bytes >= LEARNT_AT_ONCE_BYTES {
            self.learn(learner);
        }
    }

    /// Shows the learner those that wait.
    pub fn learn(&mut self, learner: &mut Learner) {
        learner.observe_chunks(&self.chunks);
        self.chunks.clear();
        self.held_bytes = 0;
    }
}

/// Shows the learner parts from all over a file.
pub(crate) fn sample(
    learner: &mut Learner,
    new: &(dyn Fn() -> Result<Learner, ConvertError> + Sync),
    samples: &Samples,
) -> Result<(), Failure> {
    let learn = |number| {
        let mut learner = new()?;
        learner.observe_chunk(&records(samples.part(number)?.into()).0);
        Ok::<_, Failure>(learner)
    };
    let learners: Result<Vec<_>, _> = (0..samples.len()).into_par_iter().map(learn).collect();
    learners?.into_iter().for_each(|other| learner.join(other));
    Ok(())
}

/// Shows the learner the first lines of an input, and puts them back.
pub(crate) fn sample_head(learner: &mut Learner, input: Input, bytes: u64) -> Result<Input, Failure> {
    let Input { mut source, progress, is_live } = input;
    let mut head = Vec::new();
    let cannot = |error: io::Error| format!("cannot read the input: {error}");
    source.by_ref().take(bytes).read_to_end(&mut head).map_err(cannot)?;
    let is_all = (head.len() as u64) < bytes;
    let lines_upto = if is_all { head.len() } else { memchr::memrchr(b'\n', &head).map_or(0, |at| at + 1) };
    learner.observe_chunk(&records(Bytes::copy_from_slice(&head[..lines_upto])).0);
    Ok(Input { source: Box::new(io::Cursor::new(head).chain(source)), progress, is_live })
}

/// The declaration goes to `file`; the table is named like the output.
fn write_declaration(schema: &TableSchema, output: &Path, file: &Path) -> Result<(), Failure> {
    let text = declaration(schema, &table_name(output), LOCATION);
    replace_file(&RealDisk, file, text.as_bytes()).map_err(|error| format!("{}: {error}", file.display()).into())
}
