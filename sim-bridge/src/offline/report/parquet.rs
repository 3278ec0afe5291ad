//! Tables as Parquet: the same columns, typed, with their meaning in the metadata of the file.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ::parquet::basic::{LogicalType, Repetition, TimeUnit, Type as Physical};
use ::parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use ::parquet::schema::types::{Type, TypePtr};

use super::cannot_write;
use super::table::{Cell, Column, ColumnKind, Table, TableWriter};
use crate::offline::sink::{RunHead, SinkError};
use crate::out_file::OutFile;

/// Rows that are held until they are written as one group: some megabytes, and enough for readers to skip by.
const GROUP_ROWS: usize = 65_536;

struct ParquetTable {
    writer: SerializedFileWriter<OutFile>,
    columns: Vec<Held>,
    rows: usize,
    name: PathBuf,
}

/// The values of a column that wait for their group.
struct Held {
    values: Values,
    /// 1 where there is a value, 0 where it is missing.
    present: Vec<i16>,
}

enum Values {
    /// Instants as microseconds, and whole numbers.
    Whole(Vec<i64>),
    Real(Vec<f64>),
    Text(Vec<ByteArray>),
}

/// Begins `<folder>/<table>.parquet`.
pub(super) fn open(
    folder: &Path,
    table: &Table,
    run: &RunHead,
) -> Result<Box<dyn TableWriter>, SinkError> {
    let file = super::begun(folder, &format!("{}.parquet", table.name))?;
    let name = file.name().to_owned();
    let head = [("scenario", &run.scenario), ("model", &run.model)];
    let head = head.map(|(key, value)| KeyValue::new(key.to_owned(), value.clone()));
    let meanings =
        table.columns.iter().map(|c| KeyValue::new(c.name.to_owned(), c.meaning.to_owned()));
    let properties = WriterProperties::builder()
        .set_created_by(concat!("starbelt-sim ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_key_value_metadata(Some(head.into_iter().chain(meanings).collect()))
        .build();
    let writer = schema(table)
        .and_then(|schema| SerializedFileWriter::new(file, schema, Arc::new(properties)))
        .map_err(|e| failure(&name, e))?;
    let columns = table.columns.iter().map(Held::new).collect();
    Ok(Box::new(ParquetTable { writer, columns, rows: 0, name }))
}

fn failure(name: &Path, error: ParquetError) -> SinkError {
    cannot_write(name, io::Error::other(error))
}

fn schema(table: &Table) -> Result<TypePtr, ParquetError> {
    let fields = table.columns.iter().map(|column| {
        let (physical, logical) = match column.kind {
            ColumnKind::Time => {
                (Physical::INT64, Some(LogicalType::timestamp(true, TimeUnit::MICROS)))
            }
            ColumnKind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            ColumnKind::Whole => (Physical::INT64, None),
            ColumnKind::Real => (Physical::DOUBLE, None),
        };
        let field = Type::primitive_type_builder(column.name, physical)
            .with_logical_type(logical)
            .with_repetition(Repetition::OPTIONAL);
        field.build().map(Arc::new)
    });
    let fields = fields.collect::<Result<Vec<_>, _>>()?;
    Ok(Arc::new(Type::group_type_builder(table.name).with_fields(fields).build()?))
}

impl Held {
    fn new(column: &Column) -> Self {
        let values = match column.kind {
            ColumnKind::Time | ColumnKind::Whole => Values::Whole(Vec::new()),
            ColumnKind::Real => Values::Real(Vec::new()),
            ColumnKind::Text => Values::Text(Vec::new()),
        };
        Self { values, present: Vec::new() }
    }

    /// Takes a cell; one that does not fit the column is missing, which the tests of the tables would show.
    fn push(&mut self, cell: &Cell<'_>) {
        let present = match (&mut self.values, cell) {
            (Values::Whole(held), Cell::Time(at)) => push(held, at.unix_ns().div_euclid(1_000)),
            (Values::Whole(held), Cell::Whole(number)) => {
                i64::try_from(*number).is_ok_and(|number| push(held, number))
            }
            (Values::Real(held), Cell::Real(number)) => push(held, *number),
            (Values::Text(held), Cell::Text(text)) => push(held, ByteArray::from(*text)),
            _ => false,
        };
        self.present.push(i16::from(present));
    }

    fn write(&mut self, column: &mut SerializedColumnWriter<'_>) -> Result<(), ParquetError> {
        let present = Some(self.present.as_slice());
        match &mut self.values {
            Values::Whole(held) => {
                column.typed::<Int64Type>().write_batch(held, present, None)?;
                held.clear();
            }
            Values::Real(held) => {
                column.typed::<DoubleType>().write_batch(held, present, None)?;
                held.clear();
            }
            Values::Text(held) => {
                column.typed::<ByteArrayType>().write_batch(held, present, None)?;
                held.clear();
            }
        }
        self.present.clear();
        Ok(())
    }
}

fn push<T>(held: &mut Vec<T>, value: T) -> bool {
    held.push(value);
    true
}

impl std::fmt::Debug for ParquetTable {
    // The writer of the library has none.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ParquetTable").field("name", &self.name).finish_non_exhaustive()
    }
}

impl ParquetTable {
    fn write_group(&mut self) -> Result<(), ParquetError> {
        if self.rows == 0 {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        for held in &mut self.columns {
            if let Some(mut column) = group.next_column()? {
                held.write(&mut column)?;
                column.close()?;
            }
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }
}

impl TableWriter for ParquetTable {
    fn row(&mut self, cells: &[Cell<'_>]) -> Result<(), SinkError> {
        for (held, cell) in self.columns.iter_mut().zip(cells) {
            held.push(cell);
        }
        self.rows += 1;
        if self.rows < GROUP_ROWS {
            return Ok(());
        }
        self.write_group().map_err(|e| failure(&self.name, e))
    }

    fn finish(mut self: Box<Self>) -> Result<(), SinkError> {
        let written = self.write_group();
        let Self { writer, name, .. } = *self;
        let file = written.and_then(|()| writer.into_inner());
        Ok(file.map_err(|e| failure(&name, e))?.finish()?)
    }
}
