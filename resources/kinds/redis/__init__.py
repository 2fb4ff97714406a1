from resources.kinds.base import Category, Kind
from resources.kinds.redis.form import RedisForm

KIND = Kind(
    slug="redis",
    label="Redis",
    category=Category.DATASOURCE,
    description="Valkey too. Commands are logged one by one.",
    icon="bolt",
    form=RedisForm,
    default_port=6379,
)
