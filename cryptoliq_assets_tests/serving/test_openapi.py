"""The schema and the service tell the same: schemathesis asks what the schema allows, and what it forbids."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from cryptoliq_assets.serving.api import create_app
from cryptoliq_assets.settings import Settings

OPERATIONS = [
    ("/predict", "POST"),
    ("/predict/batch", "POST"),
    ("/forecasts", "GET"),
    ("/forecasts/{coin}", "GET"),
    ("/model", "GET"),
    ("/healthz", "GET"),
    ("/readyz", "GET"),
    ("/metrics", "GET"),
]


@pytest.fixture(scope="module")
def schema(trained_home, tmp_path_factory):
    home = trained_home.copy_to(tmp_path_factory.mktemp("openapi") / "home")
    app = create_app(Settings(home=home, api_batch_rows=5))
    service = app.state.service
    assert service.predictor.refresh()
    yield schemathesis.openapi.from_asgi("/openapi.json", app)
    for journal in service.journals:
        journal.close()


def test_every_operation_is_asked(schema):
    asked = {(found.ok().path, found.ok().method.upper()) for found in schema.get_all_operations()}
    assert asked == set(OPERATIONS)


@pytest.mark.parametrize("mode", list(GenerationMode))
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_whatever_is_asked_the_answer_is_a_documented_one(schema, path, method, mode):
    operation = schema[path][method]
    if mode is GenerationMode.NEGATIVE and not (operation.body or operation.query or operation.path_parameters):
        pytest.skip("nothing can be wrong with it")

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case):
        # Which days may be asked for is a matter of what is stored, what a CSV must hold one of its header: no schema says.
        case.call_and_validate(excluded_checks=[positive_data_acceptance])

    check()
