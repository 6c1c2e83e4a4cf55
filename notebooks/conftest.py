"""Quiet kernels for nbval: a progress bar is no result, and must not be compared with one."""

import os

os.environ.update({"TQDM_DISABLE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1", "TOKENIZERS_PARALLELISM": "false"})
