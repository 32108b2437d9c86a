//! The first rows of a Parquet file as a table of text, for people.
//!
//! Used by the demo and the command line. Reads with the Parquet record reader; long values and many columns are cut.

use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, FileReader, SerializedFileReader};
use parquet::record::Field;

/// Most characters of a value.
const MAX_VALUE_CHARS: usize = 24;
/// Most characters of a line, beyond which columns are left out.
const MAX_LINE_CHARS: usize = 110;

/// The first `rows` rows of a Parquet file (`Bytes` or a `File`), a header above and a summary below.
pub fn preview<R: ChunkReader + 'static>(file: R, rows: usize) -> Result<String, ParquetError> {
    let reader = SerializedFileReader::new(file)?;
    let metadata = reader.metadata().file_metadata();
    let header: Vec<String> = metadata.schema().get_fields().iter().map(|field| cut(field.name())).collect();
    let mut lines = vec![header];
    for row in reader.get_row_iter(None)?.take(rows) {
        lines.push(row?.get_column_iter().map(|(_, value)| shown(value)).collect());
    }
    let mut table = layout(&lines);
    let shown = lines.len() - 1;
    let plural = |count: i64| if count == 1 { "" } else { "s" };
    let total = metadata.num_rows();
    let groups = reader.num_row_groups() as i64;
    table.push_str(&format!(
        "{shown} of {total} row{}, {} columns, {groups} row group{}\n",
        plural(total),
        lines[0].len(),
        plural(groups)
    ));
    Ok(table)
}

fn layout(lines: &[Vec<String>]) -> String {
    let columns = lines.first().map_or(0, Vec::len);
    let width = |column: usize| lines.iter().filter_map(|line| line.get(column)).map(|v| v.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut fitting = 0;
    let mut line_chars = 0;
    while fitting < columns && (fitting == 0 || line_chars + widths[fitting] <= MAX_LINE_CHARS) {
        line_chars += widths[fitting] + 2;
        fitting += 1;
    }
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        let mut row = String::new();
        for (value, width) in line.iter().zip(&widths).take(fitting) {
            let pad = width - value.chars().count();
            row.push_str(value);
            row.extend(std::iter::repeat_n(' ', pad + 2));
        }
        if fitting < columns {
            row.push('…');
        }
        text.push_str(row.trim_end());
        text.push('\n');
        if number == 0 {
            let rules: Vec<String> = widths.iter().take(fitting).map(|width| "─".repeat(*width)).collect();
            text.push_str(&rules.join("  "));
            text.push('\n');
        }
    }
    text
}

fn shown(value: &Field) -> String {
    match value {
        Field::Null => "null".to_owned(),
        Field::Str(text) => cut(text),
        other => cut(&other.to_string()),
    }
}

/// On one line, and not longer than a column.
fn cut(text: &str) -> String {
    let mut cut: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_VALUE_CHARS).collect();
    if text.chars().nth(MAX_VALUE_CHARS).is_some() {
        cut.pop();
        cut.push('…');
    }
    cut
}
