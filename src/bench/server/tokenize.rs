//! Token counts by the server itself: `/tokenize` where there is one, and else the prompt tokens that the
//! usage of a request for a single token states.

use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio::task::JoinSet;

use super::endpoints::Endpoints;
use super::error::ServerError;
use crate::bench::plan::{Protocol, Sampling};
use crate::bench::workload::oracle::{Counting, CountingCost, Oracle};

/// Requests at once. Enough to hide the way there and back, too few to disturb anybody.
const AT_ONCE: usize = 8;

/// Two texts of which the second has more tokens in any vocabulary.
const PROBES: [&str; 2] = ["the cat", "the cat sat on the mat and looked at the dog"];

/// What `/tokenize` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `messages`, template applied: vLLM, SGLang 0.5.23.
    Messages,
    /// `prompt`, special tokens added: vLLM, SGLang.
    Prompt,
    /// `content`: llama.cpp.
    Content,
}

/// Counts by `/tokenize`. Cheap, and nothing is put into a prefix cache.
#[derive(Debug, Clone)]
pub(crate) struct Tokenize {
    endpoints: Endpoints,
    model: String,
    shape: Shape,
    template_kwargs: Option<Value>,
}

/// Counts by the usage of requests for one token. They are what the measured requests will be counted by, and
/// they pass through the model.
#[derive(Debug, Clone)]
pub(crate) struct UsageCounter {
    endpoints: Endpoints,
    model: String,
    protocol: Protocol,
    extra_body: Map<String, Value>,
}

impl Tokenize {
    /// Find out whether the server has `/tokenize` and in which shape. None where no shape gives counts that
    /// grow with the text.
    ///
    /// # Errors
    /// A server that cannot be reached, or wants another key.
    pub(crate) async fn probe(
        endpoints: &Endpoints,
        model: &str,
        protocol: Protocol,
        sampling: &Sampling,
    ) -> Result<Option<Self>, ServerError> {
        let shapes: &[Shape] = match protocol {
            Protocol::Chat => &[Shape::Messages, Shape::Prompt, Shape::Content],
            _ => &[Shape::Prompt, Shape::Content],
        };
        for &shape in shapes {
            let tokenize = Self {
                endpoints: endpoints.clone(),
                model: model.to_owned(),
                shape,
                template_kwargs: sampling.extra_body.get("chat_template_kwargs").cloned(),
            };
            let mut counts = [0; 2];
            for (count, probe) in counts.iter_mut().zip(PROBES) {
                *count = match tokenize.count_one(probe).await {
                    Ok(count) => count,
                    Err(error) if error.is_unsupported() => 0,
                    Err(error) => return Err(error),
                };
            }
            if counts[0] > 0 && counts[1] > counts[0] {
                return Ok(Some(tokenize));
            }
        }
        Ok(None)
    }

    /// Which shape it takes.
    #[cfg(test)]
    pub(crate) fn shape(&self) -> Shape {
        self.shape
    }

    async fn count_one(&self, text: &str) -> Result<u32, ServerError> {
        let body = match self.shape {
            Shape::Messages => {
                let mut body = json!({"model": self.model, "messages": [{"role": "user", "content": text}]});
                if let Some(kwargs) = &self.template_kwargs {
                    body["chat_template_kwargs"] = kwargs.clone();
                }
                body
            }
            Shape::Prompt => json!({"model": self.model, "prompt": text}),
            // Without `add_special` llama.cpp leaves out the token a prompt begins with.
            Shape::Content => json!({"content": text, "add_special": true}),
        };
        let answer: Value = self.endpoints.post("/tokenize", &body).await?;
        let count =
            answer["count"].as_u64().or_else(|| answer["tokens"].as_array().map(|ids| ids.len() as u64));
        number(&self.endpoints, "/tokenize", count, &answer, "neither `count` nor `tokens`")
    }
}

impl UsageCounter {
    /// Counts for requests of `protocol`, with the fields of `extra_body` that measured requests have: they
    /// may change the template.
    pub(crate) fn new(endpoints: &Endpoints, model: &str, protocol: Protocol, sampling: &Sampling) -> Self {
        let mut extra_body = sampling.extra_body.clone();
        // Only for streams; vLLM refuses it elsewhere. The next two would generate more than one token.
        for field in ["stream", "stream_options", "min_tokens", "max_completion_tokens"] {
            extra_body.remove(field);
        }
        Self { endpoints: endpoints.clone(), model: model.to_owned(), protocol, extra_body }
    }

    async fn count_one(&self, text: &str) -> Result<u32, ServerError> {
        let path = self.protocol.path();
        let mut body = match self.protocol {
            Protocol::Generate => json!({"text": text, "stream": false}),
            Protocol::Chat => json!({"messages": [{"role": "user", "content": text}]}),
            Protocol::Completions => json!({"prompt": text}),
        };
        if let Value::Object(fields) = &mut body {
            fields.extend(self.extra_body.clone());
            let one = json!({"temperature": 0, "max_new_tokens": 1});
            if self.protocol == Protocol::Generate {
                fields.insert("sampling_params".into(), one);
            } else {
                fields.insert("model".into(), self.model.clone().into());
                fields.insert("max_tokens".into(), 1.into());
                fields.insert("temperature".into(), 0.into());
                fields.insert("stream".into(), false.into());
            }
        }
        let answer: Value = self.endpoints.generate(path, &body).await?;
        let count = match self.protocol {
            Protocol::Generate => &answer["meta_info"]["prompt_tokens"],
            _ => &answer["usage"]["prompt_tokens"],
        };
        number(&self.endpoints, path, count.as_u64(), &answer, "no prompt tokens in its usage")
    }
}

fn number(
    endpoints: &Endpoints,
    path: &str,
    count: Option<u64>,
    answer: &Value,
    problem: &str,
) -> Result<u32, ServerError> {
    count.and_then(|count| u32::try_from(count).ok()).ok_or_else(|| ServerError::Form {
        url: endpoints.target().url(path).to_string(),
        problem: problem.to_owned(),
        beginning: crate::bench::stream::words::harmless(answer.to_string().as_bytes(), 160),
    })
}

/// Ask about every text, a few at a time, in order.
async fn count_all<F, Asking>(texts: &[String], ask: F) -> Result<Vec<u32>, ServerError>
where
    F: Fn(String) -> Asking,
    Asking: Future<Output = Result<u32, ServerError>> + Send + 'static,
{
    let mut counts = vec![0; texts.len()];
    let mut asked = JoinSet::new();
    let mut waiting = texts.iter().enumerate();
    loop {
        while asked.len() < AT_ONCE
            && let Some((place, text)) = waiting.next()
        {
            let asking = ask(text.clone());
            asked.spawn(async move { (place, asking.await) });
        }
        match asked.join_next().await {
            None => return Ok(counts),
            Some(Ok((place, count))) => counts[place] = count?,
            Some(Err(panicked)) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }
}

impl Oracle for Tokenize {
    fn name(&self) -> &'static str {
        match self.shape {
            Shape::Messages => "the server's /tokenize with its chat template",
            Shape::Prompt | Shape::Content => "the server's /tokenize",
        }
    }

    fn cost(&self) -> CountingCost {
        CountingCost::Cheap
    }

    fn count<'a>(&'a self, texts: &'a [String]) -> Counting<'a> {
        let this = Arc::new(self.clone());
        Box::pin(async move {
            let ask = |text: String| {
                let this = this.clone();
                async move { this.count_one(&text).await }
            };
            Ok(count_all(texts, ask).await?)
        })
    }
}

impl Oracle for UsageCounter {
    fn name(&self) -> &'static str {
        "the usage of one-token requests"
    }

    fn cost(&self) -> CountingCost {
        CountingCost::Dear
    }

    fn count<'a>(&'a self, texts: &'a [String]) -> Counting<'a> {
        let this = Arc::new(self.clone());
        Box::pin(async move {
            let ask = |text: String| {
                let this = this.clone();
                async move { this.count_one(&text).await }
            };
            Ok(count_all(texts, ask).await?)
        })
    }
}
