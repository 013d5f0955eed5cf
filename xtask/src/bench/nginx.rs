//! The peer that serves files and event streams: nginx with nchan, on the loopback address, with two workers, no access
//! log and no compression of its own. Called by `reads` and `streams`.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::process::Server;
use super::programs::{Bench, words};
use super::shop::wait_for;
use super::tools;
use crate::postgres::free_port;
use crate::setup::is_root;

/// A body that is served under its name.
pub struct File {
    pub name: String,
    pub body: Vec<u8>,
    /// What the body is compressed with already.
    pub encoding: Option<&'static str>,
}

/// A running nginx. Besides its files it has `/watch/NAME`, an event stream, and `/publish/NAME`.
pub struct Nginx {
    /// `127.0.0.1:port`.
    pub address: String,
    pub server: Server,
}

impl Nginx {
    /// Starts it in a folder of that name and waits until it answers.
    pub fn start(bench: &Bench, name: &str, files: &[File]) -> Result<Self> {
        let folder = bench.folder().join(name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        for file in files {
            fs::write(folder.join(&file.name), &file.body).context("cannot write a file for nginx")?;
        }
        let address = format!("127.0.0.1:{}", free_port()?);
        let settings = settings(&folder, &address, files, &tools::nchan()?, is_root()?);
        let config = folder.join("nginx.conf");
        fs::write(&config, settings).context("cannot write the configuration of nginx")?;
        let (program, errors) = (tools::nginx()?, folder.join("error.log"));
        let command = words(&[
            program.as_os_str(),
            OsStr::new("-p"),
            folder.as_os_str(),
            OsStr::new("-e"),
            errors.as_os_str(),
            OsStr::new("-c"),
            config.as_os_str(),
        ]);
        let server = Server::start(&command, &folder.join("log"))?;
        wait_for(&address, "/ready", &server)?;
        Ok(Self { address, server })
    }

    /// Its processes: the master and the workers.
    pub fn processes(&self) -> Result<String> {
        let processes: Vec<String> = self.server.processes()?.iter().map(u32::to_string).collect();
        Ok(processes.join(","))
    }
}

fn settings(folder: &Path, address: &str, files: &[File], nchan: &Path, as_root: bool) -> String {
    let quoted = |path: PathBuf| format!("\"{}\"", path.display());
    let inside = |name: &str| quoted(folder.join(name));
    let locations: String = files
        .iter()
        .map(|file| {
            let encoding = file.encoding.map(|encoding| format!("add_header Content-Encoding {encoding}; "));
            let encoding = encoding.unwrap_or_default();
            format!("        location = /{} {{ {encoding}alias {}; }}\n", file.name, inside(&file.name))
        })
        .collect();
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .iter()
        .map(|kind| format!("    {kind}_temp_path {};\n", inside(kind)))
        .collect();
    // Root's workers change to another user, who may not be let into the folder.
    let user = if as_root { "user root;\n" } else { "" };
    format!(
        "daemon off;\n{user}worker_processes 2;\npid {pid};\nerror_log {errors} warn;\nload_module {module};\n\
         events {{ worker_connections 12000; }}\n\
         http {{\n    access_log off;\n    sendfile on;\n    gzip off;\n    default_type application/json;\n    \
         keepalive_requests 1000000000;\n    keepalive_timeout 600s;\n    nchan_shared_memory_size 256m;\n{temporary}    \
         server {{\n        listen {address};\n        location = /ready {{ return 200; }}\n{locations}        \
         location ~ ^/publish/(.+)$ {{ nchan_publisher; nchan_channel_id $1; nchan_message_buffer_length 1; }}\n        \
         location ~ ^/watch/(.+)$ {{ nchan_subscriber eventsource; nchan_channel_id $1; }}\n    }}\n}}\n",
        pid = inside("nginx.pid"),
        errors = inside("error.log"),
        module = quoted(nchan.to_owned()),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compressed_file_says_so_and_a_plain_one_does_not() {
        let file = |name: &str, encoding| File { name: name.to_owned(), body: Vec::new(), encoding };
        let files = [file("plain", None), file("packed", Some("gzip"))];
        let text = settings(Path::new("/b/nginx"), "127.0.0.1:9", &files, Path::new("/m.so"), false);
        assert!(text.contains("location = /plain { alias \"/b/nginx/plain\"; }\n"), "{text}");
        assert!(text.contains("location = /packed { add_header Content-Encoding gzip; alias"), "{text}");
        assert!(text.contains("listen 127.0.0.1:9;\n"), "loopback only: {text}");
        assert!(!text.contains("user root"), "{text}");
        assert_eq!(text.matches('{').count(), text.matches('}').count(), "{text}");
    }
}
