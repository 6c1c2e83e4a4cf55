"""What the tests of the recipes share."""

import pytest


@pytest.fixture(scope="module")
def own_accelerator():
    """Accelerate keeps one precision a process; what another recipe's tests chose must not bind these."""
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)
