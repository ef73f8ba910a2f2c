
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('django_govuk_notify_outbox', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='Licence',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('decision', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='django_govuk_notify_outbox.emailmessage')),
                ('reminders', models.ManyToManyField(related_name='licences', to='django_govuk_notify_outbox.emailmessage')),
            ],
        ),
    ]
