//! The form in which a response is sent: compressed, in another charset, with a byte order mark.
//!
//! HTTP allows each of them, and the text that a client reads is the same.

use std::io;

use async_compression::tokio::bufread::{BrotliEncoder, GzipEncoder, ZlibEncoder, ZstdEncoder};
use poem::{
    Response,
    http::{HeaderValue, header},
};
use rand::Rng;
use tokio::io::{AsyncRead, AsyncReadExt as _};

const BOM: char = '\u{feff}';
const UTF_16: HeaderValue = HeaderValue::from_static("application/json; charset=utf-16le");

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

impl Compression {
    const ALL: [Self; 4] = [Self::Gzip, Self::Deflate, Self::Brotli, Self::Zstd];

    pub(crate) fn random(rng: &mut impl Rng) -> Self {
        Self::ALL[rng.random_range(0..Self::ALL.len())]
    }

    /// Its name in `Accept-Encoding` and `Content-Encoding`.
    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    async fn compress(self, body: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip => read(GzipEncoder::new(body)).await,
            // HTTP's deflate has zlib's header and checksum.
            Self::Deflate => read(ZlibEncoder::new(body)).await,
            Self::Brotli => read(BrotliEncoder::new(body)).await,
            Self::Zstd => read(ZstdEncoder::new(body)).await,
        }
    }
}

async fn read(mut encoder: impl AsyncRead + Unpin) -> io::Result<Vec<u8>> {
    let mut compressed = vec![];
    encoder.read_to_end(&mut compressed).await?;
    Ok(compressed)
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ResponseForm {
    /// Only if the client accepts it.
    pub(crate) compression: Option<Compression>,
    pub(crate) utf16: bool,
    pub(crate) bom: bool,
}

impl ResponseForm {
    /// `accepted` is the client's `Accept-Encoding`.
    pub(crate) async fn apply(self, response: Response, accepted: &str) -> Response {
        let compression = self.compression.filter(|compression| accepts(accepted, *compression));
        if compression.is_none() && !self.utf16 && !self.bom {
            return response;
        }
        let (mut parts, body) = response.into_parts();
        let mut text = String::from_utf8_lossy(&body.into_vec().await.unwrap_or_default()).into_owned();
        if self.bom {
            text.insert(0, BOM);
        }
        let mut bytes = if self.utf16 {
            parts.headers.insert(header::CONTENT_TYPE, UTF_16);
            text.encode_utf16().flat_map(u16::to_le_bytes).collect()
        } else {
            text.into_bytes()
        };
        if let Some(compression) = compression
            && let Ok(compressed) = compression.compress(&bytes).await
        {
            parts.headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(compression.name()));
            bytes = compressed;
        }
        parts.headers.remove(header::CONTENT_LENGTH);
        Response::from_parts(parts, bytes.into())
    }
}

fn accepts(accepted: &str, compression: Compression) -> bool {
    accepted.split(',').any(|name| name.trim().eq_ignore_ascii_case(compression.name()))
}
