"""Models as scikit-learn would serve them, without scikit-learn: each answers `{"instances": [...]}` with `{"predictions": [...]}`."""


class IrisTree:
    """A decision tree on petal length and width, as a tree learner would find it."""

    def do(self, body):
        return {"predictions": [self.classify(row) for row in body["instances"]]}

    def classify(self, row):
        _, _, petal_length, petal_width = row
        if petal_length < 2.45:
            return 0
        return 1 if petal_width < 1.75 else 2


class IrisNearest:
    """The class whose mean petal is nearest."""

    means = ((1.46, 0.25), (4.26, 1.33), (5.55, 2.03))

    def do(self, body):
        return {"predictions": [self.classify(row) for row in body["instances"]]}

    def classify(self, row):
        distances = [sum((a - b) ** 2 for a, b in zip(row[2:], mean, strict=True)) for mean in self.means]
        return distances.index(min(distances))


class IrisRule:
    """One rule on petal length alone."""

    def do(self, body):
        return {"predictions": [sum(row[2] > bound for bound in (2.5, 4.9)) for row in body["instances"]]}


class Preprocessor:
    """Lower case, and no more than one space."""

    def do(self, body):
        return {"instances": [{"text": " ".join(item["text"].lower().split())} for item in body["instances"]]}


class NewsClassifier:
    """Tells sports from other news by its words."""

    sports = frozenset(("match", "goal", "team", "coach", "league"))

    def do(self, body):
        return {"predictions": [{"class": self.classify(item["text"])} for item in body["instances"]]}

    def classify(self, text):
        return "sports" if self.sports & set(text.split()) else "news"


class TextClassifier:
    """Says what a piece of news is about."""

    topics = (("election", "politics"), ("olympic", "sports"), ("film", "culture"))

    def do(self, body):
        return {"predictions": [{"class": self.topic(item["text"].lower())} for item in body["instances"]]}

    def topic(self, text):
        return next((topic for word, topic in self.topics if word in text), "world")


class NamedEntities:
    """Finds names: words that begin with a capital letter, within a sentence."""

    def do(self, body):
        return {"predictions": [{"entities": self.names(item["text"])} for item in body["instances"]]}

    def names(self, text):
        words = text.split()
        return [word.strip(".,") for word in words[1:] if word[:1].isupper()]


class Range:
    """Answers with the name of the range that a value was sent to."""

    def __init__(self, name="range"):
        self.name = name

    def do(self, body):
        return {"predictions": [{"range": self.name, "data": item["data"]} for item in body["instances"]]}


class Upper(Range):
    def __init__(self):
        super().__init__("upper")


class Middle(Range):
    def __init__(self):
        super().__init__("middle")


class Lower(Range):
    def __init__(self):
        super().__init__("lower")
