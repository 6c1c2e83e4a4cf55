# The recipe of grounded-qa. Steps: make grounded-qa-data, -train, -evaluate, -export, -publish.
# What it makes goes to GROUNDED_QA_DIR, else to a folder of the user's cache.
.PHONY: grounded-qa grounded-qa-smoke

grounded-qa: models  ## train, export and evaluate the grounded-qa adapter (resumes)
	@$(PY) -m training.grounded_qa all

grounded-qa-smoke: models  ## the same chain in small, with a tiny random model
	@$(PY) -m training.grounded_qa all --smoke

grounded-qa-%: models
	@$(PY) -m training.grounded_qa $*
