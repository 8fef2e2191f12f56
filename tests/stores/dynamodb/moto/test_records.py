import pytest

from tests.stores.test_records import *  # noqa: F403

pytestmark = pytest.mark.slow
