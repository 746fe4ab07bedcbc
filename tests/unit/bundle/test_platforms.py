import pytest

from fnkit.bundle.platforms import Platform, choose_platform
from fnkit.errors import UsageError


@pytest.mark.parametrize(("python", "uv_name"), [("3.11", "x86_64-manylinux_2_17"), ("3.12", "x86_64-manylinux_2_34")])
def test_the_glibc_of_the_runtime_bounds_the_wheels(python: str, uv_name: str) -> None:
    platform = Platform("linux-x86_64")

    assert platform.uv_name(python) == uv_name
    assert platform.runs_wheel("py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64", python)
    assert platform.runs_wheel("py2.py3-none-any", python)
    assert platform.runs_wheel("py3-none-manylinux_2_28_x86_64", python) is (python == "3.12")
    assert not platform.runs_wheel("py3-none-linux_x86_64", python)
    assert not platform.runs_wheel("py3-none-manylinux_2_17_aarch64", python)


@pytest.mark.parametrize("platform", [Platform("linux-x86_64"), Platform("host")])
def test_a_wheel_of_another_python_does_not_run(platform: Platform) -> None:
    assert platform.runs_wheel("cp312-cp312-manylinux2014_x86_64", "3.12")
    assert platform.runs_wheel("cp39-abi3-manylinux2014_x86_64", "3.12")
    assert platform.runs_wheel("py312-none-any", "3.12")
    assert not platform.runs_wheel("cp311-cp311-manylinux2014_x86_64", "3.12")
    assert not platform.runs_wheel("cp313-abi3-manylinux2014_x86_64", "3.12")
    assert not platform.runs_wheel("pp310-pypy310_pp73-manylinux2014_x86_64", "3.12")
    assert not platform.runs_wheel("py2-none-any", "3.12")


def test_the_architecture_is_in_lambdas_words() -> None:
    assert (Platform("linux-arm64").architecture, Platform("linux-arm64").uv_name("3.13")) == ("arm64", "aarch64-manylinux_2_34")


def test_an_unknown_platform_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        choose_platform("solaris")

    assert "linux-arm64" in caught.value.hint


def test_a_bundle_for_the_cloud_is_never_for_the_host() -> None:
    assert not choose_platform(for_cloud=True).is_host
    assert choose_platform("host").is_host
