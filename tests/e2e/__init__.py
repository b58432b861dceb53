import pytest

# Its assertions are tests', too: without this a failure says nothing of what was found.
pytest.register_assert_rewrite("tests.e2e.datastore_suite")
