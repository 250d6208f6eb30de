"""A tiny pipeline in the layout of CompVis/ldm-text2im-large-256, with random weights that a seed decides."""

from __future__ import annotations

from pathlib import Path

import torch

__all__ = ["write_pipeline"]

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "an", "image", "of", "cat", "squirrel", "laughing"]


def write_pipeline(folder: Path) -> Path:
    """Write VQ autoencoder, BERT and its tokenizer, conditional U-Net and scheduler, for 32x32 pixels."""
    from diffusers import DDIMScheduler, LDMTextToImagePipeline, UNet2DConditionModel, VQModel
    from diffusers.pipelines.latent_diffusion.pipeline_latent_diffusion import LDMBertConfig, LDMBertModel
    from transformers import BertTokenizer

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = folder / "words.txt"
    vocabulary.write_text("\n".join(WORDS))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        unet = UNet2DConditionModel(
            sample_size=4,
            in_channels=4,
            out_channels=4,
            block_out_channels=(32, 64),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=32,
            attention_head_dim=4,
        )
        vqvae = VQModel(
            in_channels=3,
            out_channels=3,
            block_out_channels=(8, 8, 8, 8),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            latent_channels=4,
            num_vq_embeddings=16,
            norm_num_groups=4,
        )
        bert = LDMBertModel(
            LDMBertConfig(
                vocab_size=len(WORDS),
                encoder_layers=2,
                encoder_ffn_dim=32,
                encoder_attention_heads=2,
                head_dim=16,
                d_model=32,
            )
        )
    scheduler = DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False)
    tokenizer = BertTokenizer(str(vocabulary))
    pipeline = LDMTextToImagePipeline(vqvae=vqvae, bert=bert, tokenizer=tokenizer, unet=unet, scheduler=scheduler)
    pipeline.save_pretrained(folder)
    (folder / "tokenizer" / "tokenizer.json").unlink()  # the words alone, as that pipeline has them
    vocabulary.rename(folder / "tokenizer" / "vocab.txt")
    return folder
