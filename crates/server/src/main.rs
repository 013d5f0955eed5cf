//! The binary `kiosk`.

use std::process::ExitCode;

fn main() -> ExitCode {
    server::cli::main()
}
