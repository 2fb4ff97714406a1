from resources.kinds.base import Category, Kind
from resources.kinds.http_auth.form import HttpAuthForm

KIND = Kind(
    slug="httpAuth",
    label="Website (header)",
    category=Category.WEBSITE,
    description="Workers add an Authorization header, such as a bearer token. Requests are logged.",
    icon="identification",
    form=HttpAuthForm,
)
