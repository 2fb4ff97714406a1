from resources.kinds.base import Category, Kind
from resources.kinds.postgres.form import PostgresForm

KIND = Kind(
    slug="postgres",
    label="PostgreSQL",
    category=Category.DATASOURCE,
    description="Queries are logged one by one.",
    icon="circle-stack",
    form=PostgresForm,
    default_port=5432,
)
