import pytest

from tests.stores.test_keys import *  # noqa: F403

pytestmark = pytest.mark.slow
