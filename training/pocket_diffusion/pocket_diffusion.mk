# Targets of the recipe training/pocket_diffusion. Included by the Makefile.
#   make pocket-diffusion                      on a CPU, in stretches: POCKET_MINUTES=90
#   make pocket-diffusion POCKET_CONFIG=gpu    on a GPU
POCKET_CONFIG  ?= cpu
POCKET_MINUTES ?= 90
POCKET_RUN := $(PY) -m training.pocket_diffusion

.PHONY: pocket-diffusion pocket-diffusion-smoke pocket-diffusion-evaluate pocket-diffusion-publish

pocket-diffusion: env  ## train pocket-diffusion from the pictures up; an interrupted run goes on
	@$(PY) -m pip install --quiet --requirement training/pocket_diffusion/requirements.txt
	@$(POCKET_RUN) --config training/pocket_diffusion/configs/$(POCKET_CONFIG).json --minutes $(POCKET_MINUTES)

pocket-diffusion-smoke: env  ## run that whole recipe at toy size, without network
	@$(POCKET_RUN) --smoke

pocket-diffusion-evaluate: env  ## score the trained pocket-diffusion (under ten minutes)
	@$(PY) -m training.pocket_diffusion.evaluate --quick \
		--config training/pocket_diffusion/configs/$(POCKET_CONFIG).json

pocket-diffusion-publish: env  ## ship the trained pocket-diffusion: weights, registry, passport
	@$(PY) -m training.pocket_diffusion.publish \
		--config training/pocket_diffusion/configs/$(POCKET_CONFIG).json
