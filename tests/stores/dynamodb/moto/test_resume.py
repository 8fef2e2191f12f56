import pytest

from tests.stores.test_resume import *  # noqa: F403

pytestmark = pytest.mark.slow
