//! A report page in a browser of its own: what it looks like, says and asks for.
#![allow(dead_code, reason = "each test target uses a part of this")]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where to leave what was seen: `SPARK_REPORT_LOOK`, for people who want to look too.
pub fn kept() -> Option<PathBuf> {
    std::env::var_os("SPARK_REPORT_LOOK").map(PathBuf::from)
}

/// What was seen of a page.
pub struct Seen {
    pub dom: String,
    pub log: String,
    pub netlog: String,
    pub png: Vec<u8>,
}

/// Open `page` in a browser of its own that cannot resolve any name.
pub fn look(page: &Path, dark: bool, width: u32) -> Seen {
    let folder = tempfile::tempdir().unwrap();
    let (shot, netlog) = (folder.path().join("shot.png"), folder.path().join("net.json"));
    // Other systems call it otherwise.
    let browser = std::env::var_os("SPARK_CHROMIUM").unwrap_or_else(|| "chromium".into());
    // A window is never narrower than 500 pixels, a frame is.
    let framed = folder.path().join("framed.html");
    let frame =
        format!("<iframe src=\"file://{}\" width=\"{width}\" height=\"8000\"></iframe>", page.display());
    std::fs::write(
        &framed,
        format!("<!doctype html><meta name=\"color-scheme\" content=\"light dark\"><style>*{{margin:0;border:0}}</style>{frame}"),
    )
    .unwrap();
    let run = |page: &Path, last: &[String]| {
        let mut command = Command::new(&browser);
        command
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
            .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
            .args(["--hide-scrollbars", "--enable-logging=stderr", "--v=0"])
            .arg("--host-resolver-rules=MAP * ~NOTFOUND")
            // 0 is dark, 1 is light (Blink's PreferredColorScheme).
            .arg(format!("--blink-settings=preferredColorScheme={}", u8::from(!dark)))
            .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
            .args(last)
            .arg(format!("file://{}", page.display()))
            .stdin(Stdio::null());
        let output = command.output().expect("chromium: install it (.ci/run does) or leave --ignored out");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let (dom, mut log) = run(page, &["--dump-dom".into(), format!("--log-net-log={}", netlog.display())]);
    let height = if width < 600 { 8100 } else { 5600 };
    let shown = if width < 600 { &framed } else { page };
    log +=
        &run(shown, &[format!("--screenshot={}", shot.display()), format!("--window-size={width},{height}")])
            .1;
    let png = std::fs::read(&shot).unwrap();
    Seen { dom, log, netlog: std::fs::read_to_string(&netlog).unwrap_or_default(), png }
}

/// What a page asked the network for. Chromium's own requests (updates, time, accounts), which no switch
/// turns off altogether, all go to Google, as no page of ours could.
pub fn asked_for(netlog: &str) -> Vec<&str> {
    assert!(netlog.contains("\"events\""), "no record of the network");
    let urls = netlog.split("\"url\":\"").skip(1).filter_map(|after| after.split('"').next());
    urls.filter(|url| url.starts_with("http"))
        .filter(|url| {
            let host = url.split('/').nth(2).unwrap_or_default();
            !host.ends_with(".google.com") && !host.ends_with(".googleapis.com")
        })
        .collect()
}

/// The page renders whole in both schemes, wide and narrow, says nothing on the console and asks for nothing.
/// What was seen is kept under `name`.
pub fn assert_renders(name: &str, html: &str, sections: usize) {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    std::fs::write(&page, html).unwrap();
    let mut shots = Vec::new();
    for (dark, width) in [(false, 1200), (true, 1200), (false, 420), (true, 420)] {
        let seen = look(&page, dark, width);
        assert_eq!(seen.dom.matches("<svg ").count(), html.matches("<svg ").count());
        assert_eq!(seen.dom.matches("<section ").count(), sections);
        assert!(seen.dom.trim_end().ends_with("</html>"));
        assert!(!seen.log.contains("CONSOLE"), "{}", seen.log);
        assert_eq!(asked_for(&seen.netlog), [""; 0]);
        if let Some(folder) = kept() {
            let shot = format!("{name}-{}-{width}.png", if dark { "dark" } else { "light" });
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(folder.join(shot), &seen.png).unwrap();
            std::fs::write(folder.join(format!("{name}.html")), html).unwrap();
        }
        shots.push(seen.png);
    }
    assert_ne!(shots[0], shots[1], "dark looks like light");
}

/// Nothing outside the page is asked for.
pub fn assert_self_contained(html: &str) {
    for word in ["src=", "url(", "@import", "<script", "<iframe", "<object"] {
        assert!(!html.contains(word), "{word}");
    }
    for address in html.split("://").skip(1) {
        assert!(address.starts_with("www.w3.org/2000/svg\""), "{address:.60}");
    }
    for target in html.split("href=\"").skip(1) {
        assert!(target.starts_with("#part-") || target.starts_with("data:,\""), "{target:.60}");
    }
}

/// The colours of `html`'s variables: light, then dark.
fn variables(html: &str) -> [Vec<(String, [f64; 3])>; 2] {
    let (mut light, mut dark) = (Vec::new(), Vec::new());
    for line in html.lines().filter(|line| line.contains(":#")) {
        let mut rest = line;
        let mut in_dark = false;
        while let Some(start) = rest.find("--") {
            in_dark |= rest[..start].contains("prefers-color-scheme:dark");
            rest = &rest[start..];
            let Some((name, after)) = rest.split_once(':') else { break };
            if let Some(hex) = after.strip_prefix('#') {
                let part = |i: usize| f64::from(u8::from_str_radix(&hex[i..i + 2], 16).unwrap()) / 255.0;
                let colour = (name.to_owned(), [part(0), part(2), part(4)]);
                if in_dark { dark.push(colour) } else { light.push(colour) }
            }
            rest = &rest[2..];
        }
    }
    [light, dark]
}

/// WCAG 2.2's contrast ratio.
fn contrast(a: [f64; 3], b: [f64; 3]) -> f64 {
    let luminance = |rgb: [f64; 3]| {
        let [r, g, b] = rgb.map(|c| if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) });
        0.2126 * r + 0.7152 * g + 0.0722 * b
    };
    let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
    (a / b).max(b / a)
}

/// Texts and marks have the contrast WCAG 2.2 asks for, in both schemes.
pub fn assert_readable(html: &str) {
    let schemes = variables(html);
    for (scheme, colours) in ["light", "dark"].into_iter().zip(&schemes) {
        let of = |name: &str| {
            colours.iter().find(|(n, _)| n == name).unwrap_or_else(|| panic!("{scheme} lacks {name}")).1
        };
        assert_eq!(of("--paper"), of("--plot-paper"), "a plot's halo is the page's background");
        for text in ["--ink", "--quiet", "--link", "--good", "--bad"] {
            for behind in ["--paper", "--raised"] {
                let ratio = contrast(of(text), of(behind));
                assert!(ratio >= 4.5, "{scheme}: {text} on {behind} has {ratio:.2}");
            }
        }
        for text in ["--plot-ink", "--plot-quiet"] {
            assert!(contrast(of(text), of("--plot-paper")) >= 4.5, "{scheme}: {text}");
        }
        let graphics =
            ["--plot-0", "--plot-1", "--plot-2", "--plot-3", "--plot-4", "--plot-5", "--plot-axis"];
        for mark in graphics {
            let ratio = contrast(of(mark), of("--plot-paper"));
            assert!(ratio >= 3.0, "{scheme}: {mark} has {ratio:.2}");
        }
    }
}
