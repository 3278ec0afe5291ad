//! What a guest prints: lines of its log, within the log's budget. What it reads is at its end.

use std::mem;

use wasmtime::component::Resource;

use super::Nothing;
use super::bindings::wasi::io::error;
use super::bindings::wasi::io::streams::{Host, HostInputStream, HostOutputStream, StreamError};
use super::clocks::Timer;
use crate::context::Context;
use crate::host::Level;
use crate::log::LINE_BYTES_MAX;

/// Bytes that one write takes, as the standard says of a write that waits.
const WRITE_BYTES_MAX: usize = 4_096;

/// Standard input.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated interfaces publish it among themselves")]
pub struct Input;

/// Standard output or error: lines of this level.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated interfaces publish it among themselves")]
pub struct Output(pub(crate) Level);

/// What was printed and is no whole line yet.
#[derive(Debug, Default)]
pub(super) struct Printed {
    output: Vec<u8>,
    error: Vec<u8>,
}

impl Printed {
    fn line(&mut self, level: Level) -> &mut Vec<u8> {
        if level == Level::Info { &mut self.output } else { &mut self.error }
    }
}

impl Context {
    /// Logs what is whole of what was printed, and keeps the rest.
    fn print(&mut self, level: Level, text: &[u8]) {
        let mut rest = text;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            self.keep(level, &rest[..end]);
            let line = mem::take(self.wasi.used().printed.line(level));
            self.log_line(level, &line);
            rest = &rest[end + 1..];
        }
        self.keep(level, rest);
    }

    /// Adds to the line that is not whole. What no line can hold is one byte longer, so that it is known to be cut.
    fn keep(&mut self, level: Level, part: &[u8]) {
        let line = self.wasi.used().printed.line(level);
        let room = (LINE_BYTES_MAX + 1).saturating_sub(line.len());
        line.extend_from_slice(&part[..part.len().min(room)]);
    }

    fn log_line(&mut self, level: Level, line: &[u8]) {
        if let Some(line) = self.log.admit(&String::from_utf8_lossy(line)) {
            self.host().log(level, &line);
        }
    }

    /// Logs lines that the call ended within.
    pub(crate) fn print_rest(&mut self) {
        let Some(used) = &mut self.wasi.used else { return };
        let printed = mem::take(&mut used.printed);
        for (level, line) in [(Level::Info, printed.output), (Level::Warn, printed.error)] {
            if !line.is_empty() {
                self.log_line(level, &line);
            }
        }
    }

    fn write_to(&mut self, handle: &Resource<Output>, text: &[u8]) -> Answer<()> {
        if WRITE_BYTES_MAX < text.len() {
            let bytes = text.len();
            let rule =
                format!("it writes {bytes} bytes at once, at most {WRITE_BYTES_MAX} were offered");
            return Err(wasmtime::Error::msg(rule));
        }
        let level = self.wasi.handles().get(handle)?.0;
        self.print(level, text);
        Ok(Ok(()))
    }

    fn write_zeroes_to(&mut self, handle: &Resource<Output>, len: u64) -> Answer<()> {
        // One more than may be written is refused like any more.
        let count = usize::try_from(len).unwrap_or(usize::MAX).min(WRITE_BYTES_MAX + 1);
        self.write_to(handle, &vec![0; count])
    }
}

/// What a stream answers; outside of it the guest traps.
type Answer<T> = wasmtime::Result<Result<T, StreamError>>;

impl Host for Context {}

impl HostInputStream for Context {
    fn read(&mut self, _stream: Resource<Input>, _len: u64) -> Answer<Vec<u8>> {
        Ok(Err(StreamError::Closed))
    }

    fn blocking_read(&mut self, _stream: Resource<Input>, _len: u64) -> Answer<Vec<u8>> {
        Ok(Err(StreamError::Closed))
    }

    fn skip(&mut self, _stream: Resource<Input>, _len: u64) -> Answer<u64> {
        Ok(Err(StreamError::Closed))
    }

    fn blocking_skip(&mut self, _stream: Resource<Input>, _len: u64) -> Answer<u64> {
        Ok(Err(StreamError::Closed))
    }

    fn subscribe(&mut self, _stream: Resource<Input>) -> wasmtime::Result<Resource<Timer>> {
        self.wasi.give(Timer::Ready)
    }

    fn drop(&mut self, stream: Resource<Input>) -> wasmtime::Result<()> {
        self.wasi.take_back(stream)
    }
}

impl HostOutputStream for Context {
    fn check_write(&mut self, _stream: Resource<Output>) -> Answer<u64> {
        Ok(Ok(WRITE_BYTES_MAX as u64))
    }

    fn write(&mut self, stream: Resource<Output>, contents: Vec<u8>) -> Answer<()> {
        self.write_to(&stream, &contents)
    }

    fn blocking_write_and_flush(
        &mut self,
        stream: Resource<Output>,
        contents: Vec<u8>,
    ) -> Answer<()> {
        self.write_to(&stream, &contents)
    }

    fn flush(&mut self, _stream: Resource<Output>) -> Answer<()> {
        Ok(Ok(()))
    }

    fn blocking_flush(&mut self, _stream: Resource<Output>) -> Answer<()> {
        Ok(Ok(()))
    }

    fn subscribe(&mut self, _stream: Resource<Output>) -> wasmtime::Result<Resource<Timer>> {
        self.wasi.give(Timer::Ready)
    }

    fn write_zeroes(&mut self, stream: Resource<Output>, len: u64) -> Answer<()> {
        self.write_zeroes_to(&stream, len)
    }

    fn blocking_write_zeroes_and_flush(
        &mut self,
        stream: Resource<Output>,
        len: u64,
    ) -> Answer<()> {
        self.write_zeroes_to(&stream, len)
    }

    fn splice(
        &mut self,
        _stream: Resource<Output>,
        _from: Resource<Input>,
        _len: u64,
    ) -> Answer<u64> {
        Ok(Err(StreamError::Closed))
    }

    fn blocking_splice(
        &mut self,
        _stream: Resource<Output>,
        _from: Resource<Input>,
        _len: u64,
    ) -> Answer<u64> {
        Ok(Err(StreamError::Closed))
    }

    fn drop(&mut self, stream: Resource<Output>) -> wasmtime::Result<()> {
        self.wasi.take_back(stream)
    }
}

impl error::Host for Context {}

impl error::HostError for Context {
    fn to_debug_string(&mut self, _error: Resource<Nothing>) -> String {
        String::new()
    }

    fn drop(&mut self, error: Resource<Nothing>) -> wasmtime::Result<()> {
        self.wasi.take_back(error)
    }
}
