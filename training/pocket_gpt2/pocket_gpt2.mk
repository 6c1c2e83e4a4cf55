# The recipe of pocket-gpt2. Steps: make pocket-gpt2-corpus, -tokenizer, -sweep, -train, -evaluate, -again.
# What it makes goes to POCKET_GPT2_DIR, else to a folder of the user's cache.
.PHONY: pocket-gpt2 pocket-gpt2-smoke

pocket-gpt2: models  ## make pocket-gpt2 anew: corpus, tokenizer, training, figures (up to 90 minutes; resumes)
	@$(PY) -m training.pocket_gpt2 all

pocket-gpt2-smoke: env  ## the same chain in small, in under a minute
	@$(PY) -m training.pocket_gpt2 all --smoke

pocket-gpt2-%: models
	@$(PY) -m training.pocket_gpt2 $*
