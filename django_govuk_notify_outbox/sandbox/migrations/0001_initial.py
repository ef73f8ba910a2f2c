import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Allowance',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=64, unique=True)),
                ('amount', models.IntegerField()),
                ('since', models.BigIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name='ApiRequest',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('method', models.CharField(max_length=10)),
                ('path', models.TextField()),
                ('query', models.TextField()),
                ('status', models.IntegerField(null=True)),
            ],
        ),
        migrations.CreateModel(
            name='Fault',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('method', models.CharField(max_length=4)),
                ('remaining', models.IntegerField(db_index=True)),
                ('until', models.BigIntegerField(null=True)),
                ('rule', models.TextField()),
            ],
        ),
        migrations.CreateModel(
            name='Receipt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('notification_id', models.UUIDField(db_index=True)),
                ('url', models.TextField()),
                ('token', models.TextField()),
                ('payload', models.TextField()),
                ('attempts', models.IntegerField(default=0)),
                ('due_at', models.BigIntegerField(db_index=True, null=True)),
                ('outcome', models.TextField()),
            ],
        ),
        migrations.CreateModel(
            name='SandboxState',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('frozen_at', models.BigIntegerField(null=True)),
                ('sending_after', models.FloatField(default=1.0)),
                ('final_after', models.FloatField(default=2.0)),
                ('rate_limit', models.IntegerField(null=True)),
                ('daily_limit', models.IntegerField(null=True)),
                ('callback_url', models.TextField(null=True)),
                ('callback_token', models.TextField(null=True)),
                ('final_spread', models.FloatField(default=0.0)),
            ],
        ),
        migrations.CreateModel(
            name='Notification',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('notification_id', models.UUIDField(default=uuid.uuid4, unique=True)),
                ('service_id', models.UUIDField()),
                ('key_kind', models.CharField(max_length=4)),
                ('email_address', models.CharField(max_length=320)),
                ('template_id', models.UUIDField()),
                ('template_version', models.IntegerField()),
                ('reference', models.TextField(null=True)),
                ('reference_digest', models.CharField(max_length=64, null=True)),
                ('one_click_unsubscribe_url', models.TextField(null=True)),
                ('content', models.TextField()),
                ('request_body', models.TextField()),
                ('created_at', models.BigIntegerField()),
                ('sending_at', models.BigIntegerField(null=True)),
                ('final_at', models.BigIntegerField(null=True)),
                ('final_status', models.CharField(max_length=100)),
                ('hidden_until', models.BigIntegerField(null=True)),
            ],
            options={
                'indexes': [models.Index(fields=['service_id', 'key_kind', 'created_at'], name='sandbox_listed'), models.Index(fields=['reference_digest', 'created_at'], name='sandbox_referenced')],
            },
        ),
    ]
