//! `starbelt-controller`: see [`controller::launch`].

fn main() -> std::process::ExitCode {
    controller::launch::main()
}
