"""The public traces by name: what each is, where its publisher has it, and which loader reads it.

Every url is pinned to a commit or a release. Sizes and checksums are the publisher's where it states them (Git LFS: of
BurstGPT and Qwen-Bailian), else those of copies on which several of its users agree; None where they are not known.
"""

from __future__ import annotations

from dataclasses import dataclass

from traces.schema import TraceError

_AZURE = "https://github.com/Azure/AzurePublicDataset"
_AZURE_2023 = (
    "https://raw.githubusercontent.com/Azure/AzurePublicDataset/790921015d50dd6aae7f7e47f39ba0e235ad6b08/data/"
)
_AZURE_2024 = f"{_AZURE}/releases/download/dataset-llm-2024/"
_BURSTGPT = "https://github.com/HPMLL/BurstGPT"
_MOONCAKE = (
    "https://raw.githubusercontent.com/kvcache-ai/Mooncake/3cca71daccf2a7afb8fe3f0295358f70e3a69fdb/"
    "FAST25-release/traces/"
)
_QWEN = "alibaba-edu/qwen-bailian-usagetraces-anon"
_QWEN_FILES = f"https://media.githubusercontent.com/media/{_QWEN}/5f7439c51ec248a0c585f7d90a41a6f57773b912/"
_SSJF = "James-QiuHaoran/LLM-serving-with-proxy-models"


@dataclass(frozen=True, slots=True)
class PublicTrace:
    """A published file.

    `file` is where it is kept, under the folder of public data. `format` is one of `traces.sniff`. `url` is None where
    the publisher has no such file. `size` (bytes) and `sha256` are of what the publisher has, None if not known.
    """

    name: str
    what: str
    file: str
    format: str
    url: str | None
    size: int | None
    sha256: str | None
    licence: str
    source: str

    @property
    def packed(self) -> bool:
        """Whether the file is kept gzipped where the publisher has it plain."""
        return self.file.endswith(".gz") and not (self.url or "").endswith(".gz")


CATALOGUE = (
    PublicTrace(
        "azure_2023_conv", "Azure LLM inference 2023, conversation, one hour", "traces/azure_2023_conv.csv.gz", "azure",
        f"{_AZURE_2023}AzureLLMInferenceTrace_conv.csv", 719_188,
        "2f1e5b666d4e3055fdbba98598ce2ec307767b9064e03e2fa46676dbcc7d0bf8", "CC-BY-4.0", _AZURE,
    ),
    PublicTrace(
        "azure_2023_code", "Azure LLM inference 2023, code completion, one hour", "traces/azure_2023_code.csv.gz",
        "azure",
        f"{_AZURE_2023}AzureLLMInferenceTrace_code.csv", 320_117,
        "54e9a6d2a4bd06ba1e060304b900abbc74cbea53de96506e60fe5bb4f2277fb6", "CC-BY-4.0", _AZURE,
    ),
    PublicTrace(
        "azure_2024_conv", "Azure LLM inference 2024, conversation, one week", "traces/azure_2024_conv.csv.gz", "azure",
        f"{_AZURE_2024}AzureLLMInferenceTrace_conv_1week.csv", 1_135_195_393,
        "a0cc9b969a9bbf0fd811802cbf4323edd3a209ace791e3799ad4f9207f213941", "CC-BY-4.0", _AZURE,
    ),
    PublicTrace(
        "azure_2024_code", "Azure LLM inference 2024, code completion, one week", "traces/azure_2024_code.csv.gz",
        "azure",
        f"{_AZURE_2024}AzureLLMInferenceTrace_code_1week.csv", 691_989_454,
        "71de5c55cbc35f8f1ed0b6b7806b4cd1e9764b0058469725a6aac98023a1448f", "CC-BY-4.0", _AZURE,
    ),
    PublicTrace(
        "burstgpt", "BurstGPT, ChatGPT and GPT-4 on Azure, months 1 and 2, without failures",
        "traces/burstgpt.csv.gz", "burstgpt",
        f"{_BURSTGPT}/releases/download/v2.0/BurstGPT_without_fails_1.csv", 51_429_517,
        "a4d068a7113ec0290e74063a1b3447dc6001a30e4298eb313581b71006dda1f4", "CC-BY-4.0", _BURSTGPT,
    ),
    PublicTrace(
        "burstgpt_2", "BurstGPT, months 3 and 4, without failures", "traces/burstgpt_2.csv.gz", "burstgpt",
        f"{_BURSTGPT}/releases/download/v2.0/BurstGPT_without_fails_2.csv", 142_376_815,
        "56193aa9b2bb26128ded43d2d29a960df6bf5af062bcfc9b005f3fcaa4e6e501", "CC-BY-4.0", _BURSTGPT,
    ),
    PublicTrace(
        "mooncake_conversation", "Kimi conversations with prefix blocks, one hour",
        "traces/mooncake_conversation.jsonl.gz", "mooncake", f"{_MOONCAKE}conversation_trace.jsonl", 3_029_533,
        "b8cbb061a85206d729d91cdc2981f43c9e0d99209dce588d3af5f7934408b9df", "Apache-2.0",
        "https://github.com/kvcache-ai/Mooncake",
    ),
    PublicTrace(
        "mooncake_toolagent", "Kimi tools and agents with prefix blocks, one hour",
        "traces/mooncake_toolagent.jsonl.gz", "mooncake", f"{_MOONCAKE}toolagent_trace.jsonl", None,
        "48a2db1a13d3bc05e6330140c64f604ba366df20d3c9e128b5c35a01c1fa5f71", "Apache-2.0",
        "https://github.com/kvcache-ai/Mooncake",
    ),
    PublicTrace(
        "mooncake_synthetic", "Mooncake's synthetic mix of long-context data sets, Poisson arrivals",
        "traces/mooncake_synthetic.jsonl.gz", "mooncake", f"{_MOONCAKE}synthetic_trace.jsonl", 1_136_313,
        "bd070915a98fc0ed264d7cfef2ce746002eb3076a695ec31ba2674c0111ec131", "Apache-2.0",
        "https://github.com/kvcache-ai/Mooncake",
    ),
    PublicTrace(
        "qwen_bailian_a", "Qwen on Aliyun Bailian, consumers' chat, two hours", "traces/qwen_bailian_a.jsonl.gz",
        "qwen_bailian", f"{_QWEN_FILES}qwen_traceA_blksz_16.jsonl", 56_354_493,
        "07cedc9ed8aff301994ac68ed4aede8123b7603673575eeba9dd677de663db17", "Apache-2.0", f"https://github.com/{_QWEN}",
    ),
    PublicTrace(
        "qwen_bailian_b", "Qwen on Aliyun Bailian, businesses' API calls, two hours", "traces/qwen_bailian_b.jsonl.gz",
        "qwen_bailian", f"{_QWEN_FILES}qwen_traceB_blksz_16.jsonl", 96_209_982,
        "68e3f98e2d601d60d0abf4b89bc8a3654372abab7b1cde6373a13d0054379d59", "Apache-2.0", f"https://github.com/{_QWEN}",
    ),
    PublicTrace(
        "qwen_bailian_coder", "Qwen on Aliyun Bailian, code", "traces/qwen_bailian_coder.jsonl.gz",
        "qwen_bailian", f"{_QWEN_FILES}qwen_coder_blksz_16.jsonl", 132_054_902,
        "3d74974cebb7bccb69b1ca6ea210a44d9a3033443c0271ed015327284dea1aff", "Apache-2.0", f"https://github.com/{_QWEN}",
    ),
    PublicTrace(
        "qwen_bailian_thinking", "Qwen on Aliyun Bailian, reasoning", "traces/qwen_bailian_thinking.jsonl.gz",
        "qwen_bailian", f"{_QWEN_FILES}qwen_thinking_blksz_16.jsonl", 27_901_454,
        "41ac36d9d1b54d084eeb6b05e9d142ba9d02f8bf79cfc9fff418d8ab7cdee906", "Apache-2.0", f"https://github.com/{_QWEN}",
    ),
    PublicTrace(
        "vtc_arena", "chatbot-arena arrivals of 27 clients, rescaled to ten minutes", "traces/vtc_arena.csv.gz", "vtc",
        None, None, None, "Apache-2.0", "https://github.com/Ying1123/VTC-artifact (fair_bench, re-packed as csv)",
    ),
    PublicTrace(
        "servegen_client_rates", "ServeGen's clients: their rate and burstiness in each window of ten minutes",
        "traces/servegen_client_rates.parquet", "servegen_rates",
        None, None, None, "Apache-2.0", "https://github.com/alibaba/ServeGen (data, re-packed from a file a client)",
    ),
    PublicTrace(
        "servegen_length_quantiles", "ServeGen's clients: quantiles of their lengths in each window of six hours",
        "traces/servegen_length_quantiles.parquet", "servegen_quantiles",
        None, None, None, "Apache-2.0", "https://github.com/alibaba/ServeGen (data, re-packed from a file a client)",
    ),
    PublicTrace(
        "infercept_multi", "API-augmented requests, any number of calls, no arrivals", "traces/infercept_multi.json.gz",
        "infercept", None, None, None, "Apache-2.0",
        "https://github.com/mars-repository/mars-codebase (merged_exp_uniform.json, re-packed without its text)",
    ),
    PublicTrace(
        "infercept_single", "API-augmented requests, one call each, no arrivals", "traces/infercept_single.json.gz",
        "infercept", None, None, None, "Apache-2.0",
        "https://github.com/mars-repository/mars-codebase (diverse_oneapi_merged_exp_uniform.json, re-packed)",
    ),
    PublicTrace(
        "claude_code_sessions", "calls of coding agents' sessions: lengths, prefixes, gaps; no text",
        "traces/claude_code_sessions.parquet", "coding_sessions", None, None, None, "Apache-2.0",
        "https://github.com/callanjfox/kv-cache-tester (94f6046, re-packed as one table without text)",
    ),
    PublicTrace(
        "ssjf_predictions_5class", "true lengths of Vicuna-13B and the class that SSJF's BERT proxy predicted",
        "traces/ssjf_predictions_5class.csv.gz", "ssjf_predictions",
        f"https://raw.githubusercontent.com/{_SSJF}/367d2fa60c35ffcdb8444d2fdf7f2743a30d04e6/"
        "model-serving/prediction/final/predictions_warmup_multi_cls_1000K.csv", 3_702_314,
        "ca8d48caa17ac906e66f4e36257b708eaae0207b281969c3282eaeb0621401fa", "Apache-2.0", f"https://github.com/{_SSJF}",
    ),
)  # fmt: skip


def public_trace(name: str) -> PublicTrace:
    """The entry called `name`; TraceError that lists all names where there is none."""
    for entry in CATALOGUE:
        if entry.name == name:
            return entry
    raise TraceError(f"no public trace is called {name!r}; there are {', '.join(entry.name for entry in CATALOGUE)}")
