//! A self-signed certificate of `localhost`, made by each test program: a committed key would be taken for a secret.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use rcgen::generate_simple_self_signed;

/// The paths of the certificate and of its key.
#[derive(Debug)]
pub(crate) struct Certificate {
    pub(crate) path: PathBuf,
    pub(super) key: PathBuf,
}

pub(crate) static CERTIFICATE: LazyLock<Certificate> = LazyLock::new(|| {
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let made = generate_simple_self_signed(names).expect("names of this machine");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let file = |ending: &str| folder.join(format!("localhost-{}.{ending}", std::process::id()));
    let certificate = Certificate { path: file("crt"), key: file("key") };
    std::fs::write(&certificate.path, made.cert.pem()).expect("the folder of the test program is writable");
    std::fs::write(&certificate.key, made.signing_key.serialize_pem())
        .expect("the folder of the test program is writable");
    certificate
});
