# The recipe of what the labs need: graphs for the browser, and what is made beforehand.
.PHONY: browser

browser: models  ## make anew what the labs need of the models (a minute)
	@$(PY) -m pip install --quiet --requirement training/browser/requirements.txt
	@$(PY) -m training.browser
