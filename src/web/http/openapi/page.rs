//! A document that never changes while the process runs: compressed once, with an `ETag`, instead of for each request.
//!
//! Compression happens when a client first accepts it, because a process that serves no documents should start fast. Brotli at its
//! best quality takes seconds, so clients get gzip until it is done.

use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use flate2::write::GzEncoder;
use poem::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use poem::http::{Method, StatusCode};
use poem::{Endpoint, Request, Response};
use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

const BROTLI_BUFFER: usize = 64 << 10;

#[derive(Clone)]
pub(in crate::web) struct Page(Arc<Content>);

struct Content {
    media_type: &'static str,
    plain: Bytes,
    etag: String,
    security_policy: Option<String>,
    gzip: OnceCell<Option<Bytes>>,
    brotli: OnceLock<Bytes>,
    brotli_started: OnceLock<()>,
}

impl Page {
    pub(in crate::web) fn new(content_type: &'static str, text: String) -> Self {
        let security_policy = content_type.starts_with("text/html").then(|| security_policy(&text));
        let digest = Sha256::digest(&text);
        // Weak, because the compressed forms have other bytes.
        let etag = format!("W/\"{}\"", hex::encode(&digest[..16]));
        let (gzip, brotli, brotli_started) = (OnceCell::new(), OnceLock::new(), OnceLock::new());
        let plain = Bytes::from(text);
        Self(Arc::new(Content { media_type: content_type, plain, etag, security_policy, gzip, brotli, brotli_started }))
    }

    /// The body in the best form that the client accepts, and the name of its encoding.
    async fn encoded(&self, headers: &HeaderMap) -> (Bytes, Option<&'static str>) {
        if accepts(headers, "br") {
            if let Some(brotli) = self.0.brotli.get() {
                return (brotli.clone(), Some("br"));
            }
            self.start_brotli();
        }
        if accepts(headers, "gzip")
            && let Some(gzip) = self.gzip().await
        {
            return (gzip, Some("gzip"));
        }
        (self.0.plain.clone(), None)
    }

    async fn gzip(&self) -> Option<Bytes> {
        let plain = self.0.plain.clone();
        let compress = || async { tokio::task::spawn_blocking(move || gzip(&plain).ok()).await.ok().flatten() };
        self.0.gzip.get_or_init(compress).await.clone()
    }

    fn start_brotli(&self) {
        if self.0.brotli_started.set(()).is_ok() {
            let page = self.clone();
            tokio::task::spawn_blocking(move || match brotli(&page.0.plain) {
                Ok(compressed) => drop(page.0.brotli.set(compressed)),
                Err(error) => tracing::warn!(%error, "failed to compress a document, it is sent as gzip"),
            });
        }
    }

    fn headers(&self) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
        let headers = [
            (header::CONTENT_TYPE, Some(self.0.media_type)),
            // May be stored, and is compared by its ETag before each use.
            (header::CACHE_CONTROL, Some("no-cache")),
            (header::ETAG, Some(self.0.etag.as_str())),
            (header::VARY, Some("Accept-Encoding")),
            (header::CONTENT_SECURITY_POLICY, self.0.security_policy.as_deref()),
        ];
        headers.into_iter().filter_map(|(name, text)| Some((name, HeaderValue::from_str(text?).ok()?)))
    }
}

impl Endpoint for Page {
    type Output = Response;

    async fn call(&self, request: Request) -> poem::Result<Response> {
        let unchanged = request.headers().get_all(header::IF_NONE_MATCH).iter().any(|list| {
            list.to_str()
                .is_ok_and(|list| list.split(',').map(str::trim).any(|etag| etag == self.0.etag || etag == "*"))
        });
        let mut response = if unchanged {
            Response::builder().status(StatusCode::NOT_MODIFIED).finish()
        } else {
            let (body, encoding) = self.encoded(request.headers()).await;
            let mut response = Response::builder().header(header::CONTENT_LENGTH, body.len());
            if let Some(encoding) = encoding {
                response = response.header(header::CONTENT_ENCODING, encoding);
            }
            if request.method() == Method::HEAD { response.finish() } else { response.body(body) }
        };
        response.headers_mut().extend(self.headers());
        Ok(response)
    }
}

/// Whether `Accept-Encoding` lists `encoding`, with a weight above 0.
pub(in crate::web) fn accepts(headers: &HeaderMap, encoding: &str) -> bool {
    let lists = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|list| list.to_str().ok());
    lists.flat_map(|list| list.split(',')).any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(encoding));
        let weight = parts.find_map(|part| part.strip_prefix("q=")).map_or(Ok(1.0), str::parse::<f32>);
        named && weight.is_ok_and(|weight| weight > 0.0)
    })
}

fn gzip(plain: &[u8]) -> std::io::Result<Bytes> {
    let mut encoder = GzEncoder::new(vec![], flate2::Compression::best());
    std::io::Write::write_all(&mut encoder, plain)?;
    Ok(encoder.finish()?.into())
}

fn brotli(mut plain: &[u8]) -> std::io::Result<Bytes> {
    let mut compressed = vec![];
    let parameters = brotli::enc::BrotliEncoderParams { quality: 11, ..Default::default() };
    let mut writer = brotli::CompressorWriter::with_params(&mut compressed, BROTLI_BUFFER, &parameters);
    std::io::copy(&mut plain, &mut writer)?;
    drop(writer);
    Ok(compressed.into())
}

/// Allows the inline scripts and styles of a page, which are known, and nothing else.
fn security_policy(html: &str) -> String {
    let hashes = |tag: &str| -> String {
        let hash = |text| STANDARD.encode(Sha256::digest(text));
        inline_blocks(html, tag).flat_map(|text| [" 'sha256-".to_owned(), hash(text), "'".to_owned()]).collect()
    };
    // Swagger UI shows its icons as data URLs, and its requests go to this service.
    format!(
        "default-src 'none'; script-src{}; style-src{}; img-src 'self' data:; font-src data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hashes("script"),
        hashes("style")
    )
}

/// The text between the tags, which browsers end at the first closing tag.
fn inline_blocks<'a>(html: &'a str, tag: &str) -> impl Iterator<Item = &'a str> {
    let (open, close) = (format!("<{tag}"), format!("</{tag}>"));
    let mut rest = html;
    std::iter::from_fn(move || {
        let after = &rest[rest.find(&open)? + open.len()..];
        let content = &after[after.find('>')? + 1..];
        let (block, next) = content.split_once(close.as_str())?;
        rest = next;
        Some(block)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> Page {
        let html =
            "<html><style charset=\"UTF-8\">b{}</style><script>let a = '<b>';</script><script>run()</script></html>";
        Page::new("text/html; charset=utf-8", html.repeat(100))
    }

    async fn get(page: &Page, headers: &[(HeaderName, &str)]) -> Response {
        let mut request = Request::builder();
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        page.call(request.finish()).await.expect("a response")
    }

    #[test]
    fn inline_scripts_and_styles_are_allowed_by_their_hashes() {
        let policy = security_policy("<style a=\"b\">b{}</style><script>let a = '<b>';</script><script>run()</script>");
        // printf 'run()' | openssl dgst -sha256 -binary | base64
        let run = STANDARD.encode(Sha256::digest("run()"));
        assert!(policy.contains(&format!("'sha256-{run}'")), "{policy}");
        assert_eq!(policy.matches("sha256-").count(), 3, "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
    }

    #[tokio::test]
    async fn unchanged_page_is_not_sent_again() {
        let page = page();
        let first = get(&page, &[]).await;
        let etag = first.headers()[header::ETAG].to_str().expect("a text").to_owned();
        for (sent, status) in [(etag.as_str(), 304), ("W/\"other\"", 200), ("*", 304), (&format!("\"x\", {etag}"), 304)]
        {
            let response = get(&page, &[(header::IF_NONE_MATCH, sent)]).await;
            assert_eq!((response.status().as_u16(), response.headers()[header::ETAG] == etag.as_str()), (status, true));
        }
    }

    #[tokio::test]
    async fn page_is_sent_in_the_best_form_that_is_accepted() {
        let page = page();
        let encoding = async |accepted: &str| {
            let response = get(&page, &[(header::ACCEPT_ENCODING, accepted)]).await;
            response.headers().get(header::CONTENT_ENCODING).map(|it| it.to_str().expect("a text").to_owned())
        };
        assert_eq!(encoding("").await, None);
        assert_eq!(encoding("deflate, gzip;q=0").await, None);
        assert_eq!(encoding("gzip, deflate").await.as_deref(), Some("gzip"));
        while encoding("gzip, br").await.as_deref() != Some("br") {
            tokio::task::yield_now().await;
        }
        let body = get(&page, &[(header::ACCEPT_ENCODING, "br")]).await.into_body().into_bytes().await.expect("a body");
        let mut plain = vec![];
        brotli::BrotliDecompress(&mut &body[..], &mut plain).expect("valid Brotli");
        assert_eq!(plain, page.0.plain);
    }
}
