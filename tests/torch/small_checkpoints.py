"""Checkpoints with random weights, made from the real configuration, processor and model classes of transformers.

Width 32 to 64 and two layers, a tokeniser trained on a few sentences: everything but the sizes is the real thing.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from onesense.engine.backends._torch.vision import require_torchvision

require_torchvision()

MAX_TOKENS = 640
_WORDS = [
    "the quick brown fox jumps over the lazy dog again and again", "a cat purring on a red bicycle in the rain",
    "first last left of my bike annual report weather in May page two", "Summarize the above image in one word:",
    "Represent the user's input. system user assistant 0123456789 seconds",
    "ein Hund schläft im Garten 東京の天気は晴れです。",
]  # fmt: skip

CHATML = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n"
    "{% if message.content is string %}{{ message.content }}{% else %}{% for c in message.content %}"
    "{% if c.type == 'image' %}IMAGE{% elif c.type == 'video' %}VIDEO{% elif c.type == 'audio' %}AUDIO"
    "{% else %}{{ c.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def _chat_template(image: str, video: str, audio: str = "", end: str = "") -> str:
    return CHATML.replace("IMAGE", image).replace("VIDEO", video).replace("AUDIO", audio) + end


def _trained(specials: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=420, initial_alphabet=alphabet, special_tokens=specials, show_progress=False
    )
    tokenizer.train_from_iterator(_WORDS, trainer)
    return tokenizer


def _tokenizer(specials: list[str], **named: Any) -> Any:
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=_trained(specials), model_max_length=MAX_TOKENS, **named
    )


def _save(folder: Path, model: Any, processor: Any) -> Path:
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.dim() > 1 and "norm" not in name:
                parameter.normal_(0, 0.5 / parameter.shape[-1] ** 0.5 if parameter.dim() == 2 else 0.05)
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def embeddinggemma(folder: Path, **towers: None) -> Path:
    """EmbeddingGemma 2; `vision_config=None` or `audio_config=None` leaves a tower out."""
    names = {"image": "<|image|>", "audio": "<|audio|>", "boi": "<boi>", "eoi": "<eoi>", "boa": "<boa>", "eoa": "<eoa>"}
    specials = ["<pad>", "<eos>", "<bos>", "<unk>", *names.values(), "<|video|>"]
    tokenizer = _tokenizer(
        specials, pad_token="<pad>", eos_token="<eos>", bos_token="<bos>", unk_token="<unk>", padding_side="left",
        extra_special_tokens={f"{name}_token": token for name, token in names.items()},
    )  # fmt: skip
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in specials}
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>", special_tokens=[("<bos>", ids["<bos>"]), ("<eos>", ids["<eos>"])]
    )
    config = transformers.EmbeddingGemma2Config(
        text_config={
            "vocab_size": len(tokenizer), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "global_head_dim": 16,
            "num_global_key_value_heads": 1, "hidden_size_per_layer_input": 8, "embedding_dim": 48,
            "sliding_window": 64, "max_position_embeddings": 2048,
            "layer_types": ["sliding_attention", "full_attention"],
        },
        vision_config={
            "model_type": "gemma4_vision", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 16, "position_embedding_size": 512,
        },
        audio_config={
            "model_type": "gemma4_audio", "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
            "subsampling_conv_channels": [128, 4], "output_proj_dims": 32,
        },
        image_token_id=ids["<|image|>"], video_token_id=ids["<|video|>"], audio_token_id=ids["<|audio|>"],
        boi_token_id=ids["<boi>"], eoi_token_id=ids["<eoi>"], boa_token_id=ids["<boa>"], eoa_token_index=ids["<eoa>"],
    )  # fmt: skip
    for tower in towers:
        setattr(config, tower, None)
    processor = transformers.EmbeddingGemma2Processor(
        feature_extractor=transformers.Gemma4AudioFeatureExtractor(),
        image_processor=transformers.Gemma4ImageProcessor(max_soft_tokens=70),
        tokenizer=tokenizer,
        video_processor=transformers.models.embedding_gemma2.EmbeddingGemma2VideoProcessor(
            max_soft_tokens=70, max_frames=4
        ),
        image_seq_length=70,
        audio_seq_length=100,
    )
    return _save(folder, transformers.EmbeddingGemma2Model(config), processor)


_QWEN_SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>",
                  "<|video_pad|>", "<embedding>"]  # fmt: skip
_VISION = {"depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 64,
           "patch_size": 16, "spatial_merge_size": 2, "temporal_patch_size": 2,
           "num_position_embeddings": 64}  # fmt: skip


def _qwen_processor(end: str = "") -> Any:
    tokenizer = _tokenizer(_QWEN_SPECIALS, pad_token="<|endoftext|>", eos_token="<|im_end|>")
    return transformers.Qwen3VLProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(
            patch_size=16, temporal_patch_size=2, merge_size=2, size={"shortest_edge": 1024, "longest_edge": 16_384}
        ),
        tokenizer=tokenizer,
        video_processor=transformers.Qwen3VLVideoProcessor(
            patch_size=16, temporal_patch_size=2, merge_size=2, size={"shortest_edge": 4096, "longest_edge": 16_384}
        ),
        chat_template=_chat_template(
            "<|vision_start|><|image_pad|><|vision_end|>", "<|vision_start|><|video_pad|><|vision_end|>", end=end
        ),
    )


def _qwen_ids(tokenizer: Any) -> dict[str, int]:
    names = {"image_token_id": "<|image_pad|>", "video_token_id": "<|video_pad|>",
             "vision_start_token_id": "<|vision_start|>", "vision_end_token_id": "<|vision_end|>"}  # fmt: skip
    return {name: tokenizer.convert_tokens_to_ids(token) for name, token in names.items()}


def qwen_vl(folder: Path) -> Path:
    """Qwen3-VL-Embedding, saved as its makers do: with the language-model head's class, tied."""
    processor = _qwen_processor()
    config = transformers.Qwen3VLConfig(
        text_config={
            "vocab_size": len(processor.tokenizer), "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 2048,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [4, 2, 2]},
        },
        vision_config={**_VISION, "deepstack_visual_indexes": [0, 1]},
        tie_word_embeddings=False,
        **_qwen_ids(processor.tokenizer),
    )  # fmt: skip
    return _save(folder, transformers.Qwen3VLForConditionalGeneration(config), processor)


def wemm(folder: Path) -> Path:
    """WeMM-Embedding: Qwen3.5 with a template that ends in `<embedding>`, and Python files that nobody runs."""
    processor = _qwen_processor("<embedding>")
    config = transformers.Qwen3_5Config(
        text_config={
            "vocab_size": len(processor.tokenizer), "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "max_position_embeddings": 2048,
            "layer_types": ["linear_attention", "full_attention"], "linear_key_head_dim": 16,
            "linear_value_head_dim": 16, "linear_num_key_heads": 2, "linear_num_value_heads": 4,
            "rope_parameters": {
                "rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [4, 2, 2],
                "partial_rotary_factor": 1.0, "mrope_interleaved": True,
            },
        },
        vision_config=_VISION,
        tie_word_embeddings=True,
        **_qwen_ids(processor.tokenizer),
    )  # fmt: skip
    _save(folder, transformers.Qwen3_5ForConditionalGeneration(config), processor)
    config_file = folder / "config.json"
    values = json.loads(config_file.read_text())
    values["auto_map"] = {"AutoModel": "modeling_wemm.WeMM"}
    config_file.write_text(json.dumps(values))
    (folder / "modeling_wemm.py").write_text("raise SystemExit('remote code ran')\n")
    return folder


def lco_omni(folder: Path) -> Path:
    """LCO-Embedding-Omni: the thinker of Qwen2.5-Omni."""
    names = {"image": "<|IMAGE|>", "audio": "<|AUDIO|>", "video": "<|VIDEO|>", "vision_bos": "<|vision_bos|>",
             "vision_eos": "<|vision_eos|>", "audio_bos": "<|audio_bos|>", "audio_eos": "<|audio_eos|>"}  # fmt: skip
    tokenizer = _tokenizer(
        ["<|endoftext|>", "<|im_start|>", "<|im_end|>", *names.values()], pad_token="<|endoftext|>",
        eos_token="<|im_end|>", extra_special_tokens={f"{name}_token": token for name, token in names.items()},
    )  # fmt: skip
    ids = {name: tokenizer.convert_tokens_to_ids(token) for name, token in names.items()}
    processor = transformers.Qwen2_5OmniProcessor(
        image_processor=transformers.Qwen2VLImageProcessor(
            patch_size=14, temporal_patch_size=2, merge_size=2, size={"shortest_edge": 784, "longest_edge": 12_544}
        ),
        video_processor=transformers.Qwen2VLVideoProcessor(
            patch_size=14, temporal_patch_size=2, merge_size=2, size={"shortest_edge": 784, "longest_edge": 12_544}
        ),
        feature_extractor=transformers.WhisperFeatureExtractor(
            feature_size=32, chunk_length=10, return_attention_mask=True
        ),
        tokenizer=tokenizer,
        chat_template=_chat_template(
            "<|vision_bos|><|IMAGE|><|vision_eos|>", "<|vision_bos|><|VIDEO|><|vision_eos|>",
            "<|audio_bos|><|AUDIO|><|audio_eos|>",
        ),
    )  # fmt: skip
    config = transformers.models.qwen2_5_omni.Qwen2_5OmniThinkerConfig(
        text_config={
            "vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2,
            "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 2048,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0, "mrope_section": [4, 2, 2]},
        },
        vision_config={
            "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 64,
            "patch_size": 14, "fullatt_block_indexes": [1], "window_size": 56,
        },
        audio_config={
            "num_mel_bins": 32, "encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 64, "d_model": 32,
            "max_source_positions": 500, "n_window": 50, "output_dim": 64,
        },
        image_token_index=ids["image"], video_token_index=ids["video"], audio_token_index=ids["audio"],
        vision_start_token_id=ids["vision_bos"], vision_end_token_id=ids["vision_eos"],
        audio_start_token_id=ids["audio_bos"], audio_end_token_id=ids["audio_eos"],
    )  # fmt: skip
    return _save(folder, transformers.Qwen2_5OmniThinkerForConditionalGeneration(config), processor)


def sentence_transformer(folder: Path) -> Path:
    """A BERT of sentence-transformers with mean pooling, its own prompts and a Normalize module."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    tokenizer = _tokenizer(["[PAD]", "[UNK]", "[CLS]", "[SEP]"], pad_token="[PAD]", unk_token="[UNK]",
                           cls_token="[CLS]", sep_token="[SEP]")  # fmt: skip
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    config = transformers.BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=128,
    )  # fmt: skip
    plain = folder.parent / f"{folder.name}-plain"
    tokenizer.model_max_length = 128
    _save(plain, transformers.BertModel(config), tokenizer)
    transformer = Transformer(str(plain))
    prompts = {"query": "query: ", "document": "passage: "}
    SentenceTransformer(modules=[transformer, Pooling(32), Normalize()], prompts=prompts).save_pretrained(str(folder))
    return folder
