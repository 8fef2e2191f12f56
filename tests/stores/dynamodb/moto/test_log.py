import pytest

from tests.stores.test_log import *  # noqa: F403

pytestmark = pytest.mark.slow
