//! `starbelt`, the operator's command line: see [`controller::cli`].

fn main() -> std::process::ExitCode {
    controller::cli::main()
}
