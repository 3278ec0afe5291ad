//! The command line: there is none. No variables, no arguments, no folder; standard input is at its end.

use wasmtime::component::Resource;

use super::Nothing;
use super::bindings::wasi::cli::{
    environment, exit, stderr, stdin, stdout, terminal_input, terminal_output, terminal_stderr,
    terminal_stdin, terminal_stdout,
};
use super::streams::{Input, Output};
use crate::context::Context;
use crate::host::Level;

impl environment::Host for Context {
    fn get_environment(&mut self) -> Vec<(String, String)> {
        Vec::new()
    }

    fn get_arguments(&mut self) -> Vec<String> {
        Vec::new()
    }

    fn initial_cwd(&mut self) -> Option<String> {
        None
    }
}

impl exit::Host for Context {
    fn exit(&mut self, status: Result<(), ()>) -> wasmtime::Result<()> {
        Err(ended(if status.is_ok() { "0" } else { "1" }))
    }

    fn exit_with_code(&mut self, status: u8) -> wasmtime::Result<()> {
        Err(ended(&status.to_string()))
    }
}

/// A function answers by returning; one that exits has not answered.
fn ended(status: &str) -> wasmtime::Error {
    wasmtime::Error::msg(format!("it exited with status {status} instead of answering"))
}

impl stdin::Host for Context {
    fn get_stdin(&mut self) -> wasmtime::Result<Resource<Input>> {
        self.wasi.give(Input)
    }
}

impl stdout::Host for Context {
    fn get_stdout(&mut self) -> wasmtime::Result<Resource<Output>> {
        self.wasi.give(Output(Level::Info))
    }
}

impl stderr::Host for Context {
    fn get_stderr(&mut self) -> wasmtime::Result<Resource<Output>> {
        self.wasi.give(Output(Level::Warn))
    }
}

impl terminal_stdin::Host for Context {
    fn get_terminal_stdin(&mut self) -> Option<Resource<Nothing>> {
        None
    }
}

impl terminal_stdout::Host for Context {
    fn get_terminal_stdout(&mut self) -> Option<Resource<Nothing>> {
        None
    }
}

impl terminal_stderr::Host for Context {
    fn get_terminal_stderr(&mut self) -> Option<Resource<Nothing>> {
        None
    }
}

impl terminal_input::Host for Context {}
impl terminal_output::Host for Context {}

impl terminal_input::HostTerminalInput for Context {
    fn drop(&mut self, handle: Resource<Nothing>) -> wasmtime::Result<()> {
        self.wasi.take_back(handle)
    }
}

impl terminal_output::HostTerminalOutput for Context {
    fn drop(&mut self, handle: Resource<Nothing>) -> wasmtime::Result<()> {
        self.wasi.take_back(handle)
    }
}
