with reading_months as (

    select distinct
        month_number,
        customers_count,
        fingerprint
    from {{ ref('int_reading_months') }}

),

metered_customer_months as (

    select
        month_number,
        {{ hash_of_group("concat(customer_key, cast(first_metered_date as " ~ type_string() ~ "), cast(last_metered_date as " ~ type_string() ~ "))") }}
            as meters_hash
    from {{ ref('int_metered_customer_months') }}
    group by month_number

),

final as (

    select
        reading_months.month_number,
        reading_months.customers_count,
        md5(concat(reading_months.fingerprint, metered_customer_months.meters_hash)) as fingerprint
    from reading_months
    left join metered_customer_months
        on reading_months.month_number = metered_customer_months.month_number

)

select * from final
