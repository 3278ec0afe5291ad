//! Tables as CSV: a line of names, then one line per row; an empty field is unknown.

use std::io;
use std::path::Path;

use super::cannot_write;
use super::table::{Cell, Table, TableWriter};
use crate::offline::sink::{RunHead, SinkError};
use crate::out_file::OutFile;

#[derive(Debug)]
struct CsvTable {
    writer: csv::Writer<OutFile>,
    /// The row under way, kept for its memory.
    record: csv::StringRecord,
}

/// Begins `<folder>/<table>.csv`.
pub(super) fn open(
    folder: &Path,
    table: &Table,
    _run: &RunHead,
) -> Result<Box<dyn TableWriter>, SinkError> {
    let file = super::begun(folder, &format!("{}.csv", table.name))?;
    let mut csv =
        CsvTable { writer: csv::Writer::from_writer(file), record: csv::StringRecord::new() };
    csv.record.extend(table.columns.iter().map(|column| column.name));
    csv.put()?;
    Ok(Box::new(csv))
}

impl CsvTable {
    fn put(&mut self) -> Result<(), SinkError> {
        let written = self.writer.write_record(&self.record);
        written.map_err(|e| cannot_write(self.writer.get_ref().name(), io::Error::from(e)))
    }
}

impl TableWriter for CsvTable {
    fn row(&mut self, cells: &[Cell<'_>]) -> Result<(), SinkError> {
        self.record.clear();
        for cell in cells {
            match cell {
                Cell::Time(at) => self.record.push_field(&at.to_string()),
                Cell::Text(text) => self.record.push_field(text),
                Cell::Whole(number) => self.record.push_field(&number.to_string()),
                // The shortest digits that read back as the same number.
                Cell::Real(number) => self.record.push_field(&number.to_string()),
                Cell::Missing => self.record.push_field(""),
            }
        }
        self.put()
    }

    fn finish(self: Box<Self>) -> Result<(), SinkError> {
        let name = self.writer.get_ref().name().to_owned();
        let file = self.writer.into_inner();
        Ok(file.map_err(|e| cannot_write(&name, e.into_error()))?.finish()?)
    }
}
