"""What is kept, and what goes."""

from runtime.recent import Recent


def test_the_least_recently_used_goes() -> None:
    made: list[int] = []

    def make(number: int) -> int:
        made.append(number)
        return number * number

    table: Recent[int, int] = Recent(2)
    for key in (1, 2, 1, 3, 1, 2):
        assert table.get(key, lambda key=key: make(key)) == key * key
    assert made == [1, 2, 3, 2]
    assert len(table) == 2
