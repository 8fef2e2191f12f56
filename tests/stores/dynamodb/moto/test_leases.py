import pytest

from tests.stores.test_leases import *  # noqa: F403

pytestmark = pytest.mark.slow
